//! What the commands that run scripts have in common.

use deno_core::url::Url;
use openkv::{KvHost, Options, Runtime, StorageKey, permissions, report};

use super::Outcome;
use super::env_file;
use super::flags::RuntimeFlags;

/// Readies the process for the first isolate. To be called before there is a second thread.
pub(super) fn prepare(flags: &RuntimeFlags) -> Result<(), String> {
    // SAFETY: there is no other thread yet.
    let problems = unsafe { env_file::load(&flags.env_files) };
    for problem in problems.iter().filter(|_| !flags.quiet) {
        eprintln!("{} {problem}", deno_terminal::colors::yellow("Warning"));
    }
    set_v8_flags(&flags.v8_flags, flags.seed)
}

/// The URL of a file, which the user named by its path in the current folder, or by its URL.
pub(super) fn url(file: &str) -> Result<Url, String> {
    let folder = std::env::current_dir().map_err(|error| format!("there is no current folder: {error}"))?;
    deno_core::resolve_url_or_path(file, &folder).map_err(|error| error.to_string())
}

/// What a runtime with these flags is made with.
pub(super) fn options(flags: &RuntimeFlags, main_module: Url, args: Vec<String>) -> Result<Options, String> {
    let storage_key = match &flags.location {
        Some(location) => StorageKey::of_location(location),
        None => StorageKey::of_main_module(&main_module),
    };
    let permissions = permissions::from_options(&flags.permissions).map_err(|error| error.to_string())?;
    Ok(Options {
        main_module,
        main_text: None,
        main_media_type: None,
        args,
        permissions,
        location: flags.location.clone(),
        seed: flags.seed,
        kv: KvHost::new(storage_key),
        modules: flags.modules.clone(),
        certificates: flags.certificates.clone(),
    })
}

/// Runs the main module to its end.
pub(super) fn run(options: Options) -> Outcome {
    let result = block_on(async { Runtime::new(options)?.run().await })?;
    // As a shell has it, only the low byte of an exit code counts.
    result.map(|code| code as u8).map_err(|error| report(&error))
}

/// Waits for a future on this thread.
pub(super) fn block_on<T>(future: impl Future<Output = T>) -> Result<T, String> {
    let tokio = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| format!("there is no event loop: {error}"))?;
    let result = tokio.block_on(future);
    // What still runs on other threads does not keep the process.
    tokio.shutdown_background();
    Ok(result)
}

fn set_v8_flags(flags: &[String], seed: Option<u64>) -> Result<(), String> {
    let seed = seed.map(|seed| format!("--random-seed={seed}"));
    // V8 takes them like a command line, whose first word is the program.
    let words = ["openkv".into()].into_iter().chain(flags.iter().cloned()).chain(seed);
    match &deno_core::v8_set_flags(words.collect())[1..] {
        [] => Ok(()),
        [unknown, ..] => Err(format!("V8 does not know the flag '{unknown}': --v8-flags=--help lists those it knows")),
    }
}
