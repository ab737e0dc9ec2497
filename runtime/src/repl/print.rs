use std::io::{Write, stdout};

/// Prints a line. That nobody reads it any more is no reason to stop: the session ends with its input.
pub(super) fn print(line: &str) {
    let _ = writeln!(stdout(), "{line}");
}
