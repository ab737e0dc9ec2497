//! Tries to make a database lose data, or promise what it does not keep. Each module is one way to try, at any length: a short
//! form is part of the tests, and `cargo xtask torture` runs the long ones, whose figures are in `docs/promises.md`.

use std::fmt::Display;
use std::path::PathBuf;

/// What a run found: a report to print, or the promise that was broken.
pub type Outcome = Result<String, String>;

/// The programs that run scripts.
#[derive(Clone, Debug)]
pub struct Programs {
    /// The `openkv` binary.
    pub openkv: PathBuf,
    /// The reference, for what is compared with it.
    pub deno: PathBuf,
}

/// An error for [`Outcome`], with what was being done.
pub fn failed<E: Display>(doing: &str) -> impl FnOnce(E) -> String + '_ {
    move |error| format!("{doing}: {error}")
}
