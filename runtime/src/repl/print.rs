use std::io::{Write, stdout};

/// Prints a line. Errors are ignored, as a closed stdout does not end the session.
pub(super) fn print(line: &str) {
    let _ = writeln!(stdout(), "{line}");
}
