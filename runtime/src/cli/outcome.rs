use std::io::{ErrorKind, Write};

/// What a process ends with: an exit code, or a message for the user.
pub(crate) type Outcome = Result<u8, String>;

/// Prints a text. A reader that leaves before its end, such as `head`, is no error.
pub(super) fn print(text: &str) -> Outcome {
    match std::io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(format!("nothing can be printed: {error}")),
        _ => Ok(0),
    }
}
