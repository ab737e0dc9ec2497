//! The `openkv` binary.

mod cli;

use std::error::Error;
use std::process::ExitCode;

use deno_core::url::Url;
use openkv::{KvHost, Options, Runtime, StorageKey, permissions, report};

fn main() -> ExitCode {
    let run = cli::parse(std::env::args());
    match start(run) {
        Ok(code) => ExitCode::from(code),
        Err(message) => {
            eprintln!("{}: {}", deno_terminal::colors::red_bold("error"), message.trim_end());
            ExitCode::FAILURE
        }
    }
}

/// Runs a script. Answers its exit code, or a message for the user.
fn start(run: cli::Run) -> Result<u8, String> {
    let text = |error: &dyn Error| error.to_string();
    let folder = std::env::current_dir().map_err(|error| format!("there is no current folder: {error}"))?;
    let main_module: Url = deno_core::resolve_url_or_path(&run.file, &folder).map_err(|error| text(&error))?;
    let storage_key = match &run.location {
        Some(location) => StorageKey::of_location(location),
        None => StorageKey::of_main_module(&main_module),
    };
    let permissions = permissions::from_options(&run.permissions).map_err(|error| text(&error))?;
    let options = Options {
        main_module,
        args: run.args,
        permissions,
        location: run.location,
        kv: KvHost::new(storage_key),
        certificates: Default::default(),
        seed: None,
    };

    let tokio = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|error| text(&error))?;
    let result = tokio.block_on(async { Runtime::new(options)?.run().await });
    // What still runs on other threads does not keep the process.
    tokio.shutdown_background();
    match result {
        // As a shell has it, only the low byte of an exit code counts.
        Ok(code) => Ok(code as u8),
        Err(error) => Err(report(&error)),
    }
}
