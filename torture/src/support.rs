use std::env;
use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What a run found: a report to print, or the promise that was broken.
pub type Outcome = Result<String, String>;

/// How long to wait for what takes no time unless something hangs.
pub const TIMEOUT: Duration = Duration::from_secs(60);

/// The programs that run scripts.
#[derive(Clone, Debug)]
pub struct Programs {
    /// The `openkv` binary.
    pub openkv: PathBuf,
    /// Deno, for what is compared with it.
    pub deno: PathBuf,
}

/// A directory in memory, if there is one: the disk beneath need not keep anything.
pub(crate) fn scratch() -> Result<tempfile::TempDir, String> {
    let memory = Path::new("/dev/shm");
    let directory = if memory.is_dir() { memory.to_owned() } else { env::temp_dir() };
    tempfile::tempdir_in(directory).map_err(failed("creating a directory"))
}

/// A script of this crate.
pub(crate) fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts").join(name)
}

/// An error for [`Outcome`], with what was being done.
pub fn failed<E: Display>(doing: &str) -> impl FnOnce(E) -> String + '_ {
    move |error| format!("{doing}: {error}")
}
