//! Makes V8 available to the build: a static library of about 30 MB, which the `v8` crate downloads, or reads from the locations that
//! this module prepares.

use std::net::{TcpStream, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{env, fs};

const DOWNLOADS: &str = "https://github.com/denoland/rusty_v8/releases/download";

/// The feature of the `v8` crate that deno_core enables, as it appears in the names of archives.
const FEATURES: &str = "_simdutf";

/// How long to wait for a connection to the host of the download.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Makes sure that the build finds V8: in `RUSTY_V8_ARCHIVE`, in the cache of the `v8` crate, in `../shared/v8`, or by a download.
pub fn make_available(root: &Path) -> Result<(), String> {
    if let Some(archive) = env::var_os("RUSTY_V8_ARCHIVE") {
        let is_url = archive.to_str().is_some_and(|archive| archive.starts_with("http"));
        return if is_url || Path::new(&archive).is_file() {
            Ok(())
        } else {
            Err(format!("RUSTY_V8_ARCHIVE names a file that does not exist: {archive:?}"))
        };
    }

    let base = env::var("RUSTY_V8_MIRROR").unwrap_or_else(|_| DOWNLOADS.into());
    let archive = archive_name(&crate::target()?);
    let url = format!("{base}/v{}/{archive}", version(root)?);
    let seeded = cache()?.join(url.replace(|c: char| !c.is_ascii_alphanumeric(), "_"));
    if seeded.is_file() {
        return Ok(());
    }
    let shared = root.join("../shared/v8").join(&archive);
    if shared.is_file() {
        return seed(&shared, &seeded).map_err(|error| format!("failed to copy {shared:?} to {seeded:?}: {error}"));
    }
    match unreachable_host(&base) {
        None => Ok(()),
        Some(_) if is_built() => Ok(()),
        Some((host, error)) => Err(format!(
            "V8 is not available, and its download host {host} cannot be reached: {error}.\n\
             Do one of the following:\n  \
             - connect this machine to {host}, or set RUSTY_V8_MIRROR to the URL of a mirror of\n    {DOWNLOADS};\n  \
             - download {url}\n    on another machine, and set RUSTY_V8_ARCHIVE to the path of the file;\n  \
             - copy that file into the cache of the build:\n    {}",
            seeded.display()
        )),
    }
}

/// Returns the version of the `v8` crate in the lockfile.
fn version(root: &Path) -> Result<String, String> {
    let path = root.join("Cargo.lock");
    let lock = fs::read_to_string(&path).map_err(|error| format!("failed to read {path:?}: {error}"))?;
    let version = lock.split("[[package]]").find(|package| package.contains("\nname = \"v8\"\n")).and_then(|package| {
        let (_, rest) = package.split_once("version = \"")?;
        rest.split_once('"').map(|(version, _)| version.to_owned())
    });
    version.ok_or_else(|| format!("{path:?} does not contain the version of v8"))
}

fn archive_name(target: &str) -> String {
    let library = if cfg!(windows) { "rusty_v8" } else { "librusty_v8" };
    let extension = if cfg!(windows) { "lib" } else { "a" };
    format!("{library}{FEATURES}_release_{target}.{extension}.gz")
}

/// Returns the cache directory of the `v8` crate.
fn cache() -> Result<PathBuf, String> {
    let home = match env::var_os("CARGO_HOME").filter(|home| !home.is_empty()) {
        Some(home) => Some(PathBuf::from(home)),
        None => env::home_dir().map(|home| home.join(".cargo")),
    };
    home.map(|home| home.join(".rusty_v8")).ok_or_else(|| "no home directory found: set CARGO_HOME".into())
}

/// Copies an archive atomically, for concurrent builds.
fn seed(from: &Path, to: &Path) -> std::io::Result<()> {
    let part = to.with_extension(format!("{}.part", std::process::id()));
    fs::create_dir_all(to.parent().expect("the cache is a directory"))?;
    fs::copy(from, &part)?;
    fs::rename(part, to)
}

/// Returns the host of the download, and why it cannot be reached. `None` if it can, or if a proxy is configured.
fn unreachable_host(base: &str) -> Option<(String, String)> {
    let proxied =
        ["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"].iter().any(|name| env::var_os(name).is_some());
    let (scheme, rest) = base.split_once("://")?;
    let host = rest.split('/').next().unwrap_or(rest);
    if proxied {
        return None;
    }
    let port = if scheme == "http" { 80 } else { 443 };
    let address = if host.contains(':') { host.to_owned() } else { format!("{host}:{port}") };
    let error = match address.to_socket_addrs() {
        Err(error) => error,
        Ok(addresses) => {
            let mut last = std::io::ErrorKind::HostUnreachable.into();
            for address in addresses {
                match TcpStream::connect_timeout(&address, TIMEOUT) {
                    Ok(_) => return None,
                    Err(error) => last = error,
                }
            }
            last
        }
    };
    Some((host.to_owned(), error.to_string()))
}

/// Returns whether the target directory contains V8 from an earlier build.
fn is_built() -> bool {
    let target = crate::target_directory();
    let library = if cfg!(windows) { "rusty_v8.lib" } else { "librusty_v8.a" };
    ["debug", "release"].iter().all(|profile| target.join(profile).join("gn_out/obj").join(library).is_file())
}
