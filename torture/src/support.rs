use std::env;
use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The result of a run: a report to print, or the guarantee that was violated.
pub type Outcome = Result<String, String>;

/// How long to wait for operations that complete immediately unless something hangs.
pub const TIMEOUT: Duration = Duration::from_secs(60);

/// The programs that run scripts.
#[derive(Clone, Debug)]
pub struct Programs {
    /// The `openkv` binary.
    pub openkv: PathBuf,
    /// Deno, for comparisons.
    pub deno: PathBuf,
}

/// Creates a temporary directory, in memory if possible: it need not survive anything.
pub(crate) fn scratch() -> Result<tempfile::TempDir, String> {
    let memory = Path::new("/dev/shm");
    let directory = if memory.is_dir() { memory.to_owned() } else { env::temp_dir() };
    tempfile::tempdir_in(directory).map_err(failed("creating a directory"))
}

/// Returns the path of a script of this crate.
pub(crate) fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts").join(name)
}

/// Returns a function that adds a context to an error, for [`Outcome`].
pub fn failed<E: Display>(doing: &str) -> impl FnOnce(E) -> String + '_ {
    move |error| format!("{doing}: {error}")
}
