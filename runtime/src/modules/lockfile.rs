//! Deno's lock file, and how it is written.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use deno_core::serde_json::{self, Value};
use deno_error::JsErrorBox;
use deno_graph::ModuleGraph;
use deno_lockfile::{Lockfile, LockfileContent};
use deno_resolver::lockfile::LockfileLock;
use deno_semver::jsr::JsrDepPackageReq;
use parking_lot::Mutex;
use sys_traits::impls::RealSys;

/// A lock file with the additions of this run.
pub(super) struct LockfileState {
    pub file: Arc<LockfileLock<RealSys>>,
    /// The file to write: the lock file, or its target if it was a symbolic link before the script ran.
    target: PathBuf,
    /// What the file contained when it was last read or written.
    last: Mutex<Option<Vec<u8>>>,
}

impl LockfileState {
    pub fn new(file: Arc<LockfileLock<RealSys>>) -> Self {
        let target = follow_links(&file.filename);
        let last = Mutex::new(std::fs::read(&target).ok());
        Self { file, target, last }
    }

    /// Adds the redirects and JSR packages of a graph.
    pub fn add(&self, graph: &ModuleGraph) {
        let mut file = self.file.lock();
        for (from, to) in &graph.redirects {
            if matches!(from.scheme(), "http" | "https") {
                file.insert_redirect(from.to_string(), to.to_string());
            }
        }
        for (req, nv) in graph.packages.mappings() {
            let id = nv.version.to_string().as_str().into();
            file.insert_package_specifier(JsrDepPackageReq::jsr(req.clone()), id);
        }
        for (nv, dependencies) in graph.packages.packages_with_deps() {
            file.add_package_deps(nv, dependencies.cloned());
        }
    }

    /// Fails if the file has to change, but is frozen.
    pub fn check_frozen(&self) -> Result<(), JsErrorBox> {
        self.file.error_if_changed().map_err(|_| {
            JsErrorBox::generic(format!(
                "the lock file {:?} is out of date, but frozen. Update it with --frozen=false",
                self.file.filename
            ))
        })
    }

    /// Writes the file if it has changed. Keeps what others, such as workers, have added to it meanwhile.
    pub fn write(&self) -> Result<(), JsErrorBox> {
        /// Held while the file is read and written, by any thread.
        static WRITING: Mutex<()> = Mutex::new(());
        let mut file = self.file.lock();
        if !file.has_content_changed {
            return Ok(());
        }
        let mut last = self.last.lock();
        let _writing = WRITING.lock();
        let current = std::fs::read(&self.target).ok();
        if current != *last
            && let Some(others) = current.as_deref().and_then(parse)
        {
            merge(&mut file, others);
        }
        let Some(bytes) = file.resolve_write_bytes() else { return Ok(()) };
        write(&self.target, &bytes).map_err(|error| {
            JsErrorBox::generic(format!("failed to write the lock file {:?}: {error}", self.file.filename))
        })?;
        file.has_content_changed = false;
        *last = Some(bytes);
        Ok(())
    }
}

/// Parses a lock file of the version that is written.
fn parse(bytes: &[u8]) -> Option<Value> {
    serde_json::from_slice(bytes).ok().filter(|value: &Value| value["version"] == "5")
}

/// Adds the entries of another lock file that a lock file does not have.
fn merge(file: &mut Lockfile, others: Value) {
    for (url, hash) in others["remote"].as_object().into_iter().flatten() {
        if let Some(hash) = hash.as_str()
            && !file.remote().contains_key(url)
        {
            file.insert_remote(url.clone(), hash.to_owned());
        }
    }
    let Ok(LockfileContent { packages, redirects, .. }) = LockfileContent::from_json(others) else { return };
    let content = &mut file.content;
    for (specifier, version) in packages.specifiers {
        content.packages.specifiers.entry(specifier).or_insert(version);
    }
    for (package, info) in packages.jsr {
        content.packages.jsr.entry(package).or_insert(info);
    }
    for (package, info) in packages.npm {
        content.packages.npm.entry(package).or_insert(info);
    }
    for (from, to) in redirects {
        content.redirects.entry(from).or_insert(to);
    }
}

/// Replaces the content of a file atomically: readers never see a partial file, and a failed write leaves the old content.
/// Keeps the mode of the file.
fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let directory = path.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(directory)?;
    let mut builder = tempfile::Builder::new();
    // The default mode of a temporary file is 0600.
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    let mut file = builder.tempfile_in(directory)?;
    if let Ok(metadata) = std::fs::metadata(path) {
        file.as_file().set_permissions(metadata.permissions())?;
    }
    file.write_all(bytes)?;
    file.persist(path)?;
    Ok(())
}

/// Returns the target of a symbolic link, which need not exist.
fn follow_links(path: &Path) -> PathBuf {
    /// The limit of Linux. A longer chain is a cycle, and its last link is replaced.
    const MAX_LINKS: usize = 40;
    let mut path = path.to_owned();
    for _ in 0..MAX_LINKS {
        let Ok(target) = std::fs::read_link(&path) else { break };
        path = path.parent().unwrap_or(Path::new("")).join(target);
    }
    path
}
