use std::path::PathBuf;
use std::sync::Arc;

use crate::{Clock, Limits, Random, SystemClock, SystemRandom};

/// Where a database is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Location {
    /// In memory: private, and deleted when closed.
    Memory,
    /// In memory, under a name: shared by all databases of the process that are opened by this name, and deleted when the last one
    /// is closed.
    SharedMemory(String),
    /// In a file, which is created if it does not exist. Its directory must exist.
    File {
        /// The path of the file.
        path: PathBuf,
        /// Whether to follow symbolic links in the path. A host that checks permissions for the path sets this to false.
        ///
        /// On Linux, the path is resolved once, when it is opened: if its directory is replaced afterwards, all files of the
        /// database stay in the original one. Elsewhere, SQLite resolves the path whenever it opens a file, and a replaced file is
        /// rejected when that is detected.
        follow_links: bool,
    },
}

impl Location {
    /// Returns the location of a file, whose path may contain symbolic links.
    pub fn file(path: impl Into<PathBuf>) -> Self {
        Location::File { path: path.into(), follow_links: true }
    }
}

/// The options of a database.
///
/// A test can pass its own clock, and keep a handle to advance it:
///
/// ```
/// use std::sync::Arc;
/// use std::sync::atomic::{AtomicU64, Ordering};
/// use std::time::Duration;
///
/// use openkv_engine::sqlite::{self, Location, Options};
/// use openkv_engine::{AtomicWrite, Clock, Key, Mutation, Value};
///
/// #[derive(Default)]
/// struct TestClock(AtomicU64);
///
/// impl Clock for TestClock {
///     fn now(&self) -> u64 {
///         self.0.load(Ordering::Relaxed)
///     }
/// }
///
/// let clock = Arc::new(TestClock::default());
/// let database = sqlite::open(Location::Memory, Options::default().clock(clock.clone()))?;
///
/// let session = Key::from(["sessions", "alice"]);
/// let set = Mutation::set(session.clone(), Value::U64(1)).expire_in(Duration::from_secs(1));
/// database.write_blocking(AtomicWrite::new().mutate(set))?.into_result()?;
///
/// clock.0.store(999, Ordering::Relaxed);
/// assert!(database.get_blocking(&session)?.is_some());
/// clock.0.store(1000, Ordering::Relaxed);
/// assert!(database.get_blocking(&session)?.is_none());
/// # Ok::<(), openkv_engine::Error>(())
/// ```
#[derive(Clone)]
#[non_exhaustive]
pub struct Options {
    /// The limits of each call.
    pub limits: Limits,
    /// The clock, for expiry and delays.
    pub clock: Arc<dyn Clock>,
    /// The source of randomness, for the ids of messages.
    pub random: Arc<dyn Random>,
    /// The path by which errors name the file, by default that by which it is opened. A host that must not reveal the location of
    /// files to scripts sets it to the path that the script has passed.
    pub name: Option<PathBuf>,
}

impl Default for Options {
    fn default() -> Self {
        Self { limits: Limits::default(), clock: Arc::new(SystemClock), random: Arc::new(SystemRandom), name: None }
    }
}

impl std::fmt::Debug for Options {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Options").field("limits", &self.limits).finish_non_exhaustive()
    }
}

impl Options {
    /// Sets the limits.
    #[must_use]
    pub fn limits(self, limits: Limits) -> Self {
        Self { limits, ..self }
    }

    /// Sets the clock.
    #[must_use]
    pub fn clock(self, clock: impl Clock + 'static) -> Self {
        Self { clock: Arc::new(clock), ..self }
    }

    /// Sets the path by which errors name the file.
    #[must_use]
    pub fn name(self, path: impl Into<PathBuf>) -> Self {
        Self { name: Some(path.into()), ..self }
    }

    /// Sets the source of randomness.
    #[must_use]
    pub fn random(self, random: impl Random + 'static) -> Self {
        Self { random: Arc::new(random), ..self }
    }
}
