//! Setup that is shared by the commands that run scripts.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Once;

use deno_core::url::Url;
use deno_permissions::PermissionsOptions;
use openkv::unstable::support;
use openkv::{Options, Project, Runtime, StorageKey, kv_options, permissions, report, storage_directory};

use super::env_file;
use super::flags::RuntimeFlags;
use super::outcome::Outcome;
use super::{permission_sets, warnings};

/// The hosts that remote modules may be imported from by default, as in Deno.
const IMPORT_HOSTS: [&str; 7] = [
    "deno.land:443",
    "jsr.io:443",
    "esm.sh:443",
    "raw.esm.sh:443",
    "cdn.jsdelivr.net:443",
    "raw.githubusercontent.com:443",
    "gist.githubusercontent.com:443",
];

/// Prepares the process for the first isolate. Must be called before any other thread is started.
pub(super) fn prepare(flags: &RuntimeFlags) -> Result<(), String> {
    // SAFETY: there is no other thread yet.
    let errors = unsafe { env_file::load(&flags.env_files) };
    for error in errors.iter().filter(|_| !flags.quiet) {
        eprintln!("{} {error}", deno_terminal::colors::yellow("Warning"));
    }
    if !flags.quiet {
        warnings::print();
    }
    reset_signals();
    set_v8_flags(&flags.v8_flags, flags.seed)
}

/// Restores the default action of SIGINT and SIGTERM, as Deno does, even if the parent process ignored them, as a shell does
/// for background processes.
fn reset_signals() {
    #[cfg(unix)]
    for signal in [libc::SIGINT, libc::SIGTERM] {
        // SAFETY: the default action involves no code of this process, and nothing has installed a handler yet.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
}

/// Resolves a path, relative to the current directory, or a URL.
pub(super) fn url(file: &str) -> Result<Url, String> {
    deno_core::resolve_url_or_path(file, &current_directory()?).map_err(|error| error.to_string())
}

/// Returns the directory that relative paths are resolved against.
pub(super) fn current_directory() -> Result<PathBuf, String> {
    std::env::current_dir().map_err(|error| format!("failed to get the current directory: {error}"))
}

/// Returns the options of a runtime with these flags.
pub(super) fn options(flags: &RuntimeFlags, main_module: Url, args: Vec<String>) -> Result<Options, String> {
    let project = Project::of(&main_module, &flags.modules).map_err(|error| error.to_string())?;
    let storage_key = match &flags.location {
        Some(location) => StorageKey::of_location(location),
        None => StorageKey::of_project(&project).unwrap_or_else(|| StorageKey::of_main_module(&main_module)),
    };
    let granted = permission_sets::resolve(flags, &project)?;
    let granted = with_import_hosts(granted, &main_module, project.jsr_url());
    let permissions = permissions::from_options(&granted).map_err(|error| error.to_string())?;
    if !flags.quiet {
        warn_of_unknown_features(&project);
    }
    let configured = project.unstable.iter().map(String::as_str);
    let unstable = flags.unstable.iter().copied().chain(configured).collect();
    Ok(Options {
        main_module,
        main_package: None,
        main_text: None,
        main_media_type: None,
        embedded: HashMap::new(),
        project,
        quiet: flags.quiet,
        args,
        permissions,
        location: flags.location.clone(),
        seed: flags.seed,
        unstable,
        storage: storage_directory(&storage_key),
        kv: kv_options(storage_key, &flags.certificates),
        modules: flags.modules.clone(),
        certificates: flags.certificates.clone(),
        inspect: flags.inspect,
        output: None,
        serve: None,
        watched: None,
    })
}

/// Warns once of unstable features in the configuration file that Deno does not have.
fn warn_of_unknown_features(project: &Project) {
    static WARNING: Once = Once::new();
    let unknown: Vec<_> = project.unstable.iter().filter(|name| support(name).is_none()).collect();
    if let (Some(file), false) = (&project.url, unknown.is_empty()) {
        WARNING.call_once(|| {
            for name in unknown {
                let warning = deno_terminal::colors::yellow("Warning");
                eprintln!("{warning} Unknown unstable feature '{name}' in {file}");
            }
        });
    }
}

/// Allows imports from well-known hosts and the JSR registry unless the user lists others, and from the host of the main
/// module.
fn with_import_hosts(mut permissions: PermissionsOptions, main_module: &Url, jsr: &Url) -> PermissionsOptions {
    let default = || IMPORT_HOSTS.map(Into::into).into_iter().chain(remote_host(jsr)).collect();
    let hosts = permissions.allow_import.get_or_insert_with(default);
    // An empty list allows all.
    if !hosts.is_empty() {
        hosts.extend(remote_host(main_module));
    }
    permissions
}

/// Returns the host and the port of an http or https URL.
fn remote_host(url: &Url) -> Option<String> {
    let is_remote = matches!(url.scheme(), "http" | "https");
    Some(format!("{}:{}", url.host_str()?, url.port_or_known_default()?)).filter(|_| is_remote)
}

/// Runs the main module to its end. The process must exit afterwards.
pub(super) fn run(mut options: Options) -> Outcome {
    let result = block_on(async {
        options.resolve_program().await?;
        let mut runtime = Runtime::new(options)?;
        let result = runtime.run().await;
        runtime.end_with_process();
        result
    })?;
    // Only the low byte of an exit code is significant, as in a shell.
    result.map(|code| code as u8).map_err(|error| report(&error))
}

/// Runs a future to completion on this thread.
pub(super) fn block_on<T>(future: impl Future<Output = T>) -> Result<T, String> {
    let tokio = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| format!("failed to create the event loop: {error}"))?;
    let result = tokio.block_on(future);
    // Blocking tasks that are still running must not keep the process alive.
    tokio.shutdown_background();
    Ok(result)
}

fn set_v8_flags(flags: &[String], seed: Option<u64>) -> Result<(), String> {
    let seed = seed.map(|seed| format!("--random-seed={seed}"));
    // V8 parses them like a command line, which starts with the name of the program.
    let words = ["openkv".into()].into_iter().chain(flags.iter().cloned()).chain(seed);
    match &deno_core::v8_set_flags(words.collect())[1..] {
        [] => Ok(()),
        [unknown, ..] => Err(format!("unknown V8 flag '{unknown}': --v8-flags=--help lists all flags")),
    }
}
