use std::path::PathBuf;
use std::sync::Arc;

use crate::{Clock, Limits, Random, SystemClock, SystemRandom};

/// Where a database lives.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Location {
    /// In memory: private, and gone once closed.
    Memory,
    /// In memory, under a name: shared by all who open it by this name in the process, and gone once the last one has closed it.
    SharedMemory(String),
    /// In a file, which is created where there is none. Its directory must exist.
    File {
        /// The path of the file.
        path: PathBuf,
        /// Whether a path may have a symbolic link in it. A host that checked who may open the path refuses them.
        ///
        /// A path is resolved once, when it is opened. Whatever is put in the place of its directory meanwhile or later, all
        /// files of the database are in the directory that was found. That takes Linux. Elsewhere, SQLite resolves the path
        /// when it opens a file; a file that is not the one it was is refused once it is noticed.
        follow_links: bool,
    },
}

impl Location {
    /// In a file, whose path may have symbolic links in it.
    pub fn file(path: impl Into<PathBuf>) -> Self {
        Location::File { path: path.into(), follow_links: true }
    }
}

/// What a database is opened with.
///
/// A test brings its own clock, and keeps a handle to move it:
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
    /// How much one call may ask for.
    pub limits: Limits,
    /// The time, for expiry and delays.
    pub clock: Arc<dyn Clock>,
    /// Randomness, for the ids of messages.
    pub random: Arc<dyn Random>,
    /// The path by which errors name the file; by default the one it is opened by. A host whose scripts are not to learn where
    /// their files are gives the path that they named.
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

    /// Sets the randomness.
    #[must_use]
    pub fn random(self, random: impl Random + 'static) -> Self {
        Self { random: Arc::new(random), ..self }
    }
}
