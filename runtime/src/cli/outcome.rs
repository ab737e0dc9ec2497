use std::io::{ErrorKind, Write};

/// The outcome of a command: an exit code, or an error message.
pub(crate) type Outcome = Result<u8, String>;

/// Prints to stdout. A closed pipe, as after `head`, is not an error.
pub(super) fn print(text: &str) -> Outcome {
    match std::io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(format!("failed to write to stdout: {error}")),
        _ => Ok(0),
    }
}
