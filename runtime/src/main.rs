//! The `openkv` binary.

mod cli;

use std::process::ExitCode;

fn main() -> ExitCode {
    let args = std::env::args_os().map(|arg| arg.into_string());
    let outcome = match args.collect::<Result<Vec<_>, _>>() {
        Ok(args) => cli::parse(args).execute(),
        Err(arg) => Err(format!("argument {arg:?} is not valid UTF-8")),
    };
    match outcome {
        Ok(code) => ExitCode::from(code),
        Err(message) => {
            eprintln!("{}: {}", deno_terminal::colors::red_bold("error"), message.trim_end());
            ExitCode::FAILURE
        }
    }
}
