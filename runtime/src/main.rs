//! The `openkv` binary.

mod cli;

use std::process::ExitCode;

fn main() -> ExitCode {
    match cli::parse(std::env::args()).execute() {
        Ok(code) => ExitCode::from(code),
        Err(message) => {
            eprintln!("{}: {}", deno_terminal::colors::red_bold("error"), message.trim_end());
            ExitCode::FAILURE
        }
    }
}
