//! Watches the files of a script, to stop the script when one of them changes.

use std::collections::HashSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use deno_config::glob::PathOrPatternSet;
use notify::{RecommendedWatcher, RecursiveMode, Watcher as _};
use openkv_js::transpile::MediaType;
use tokio::sync::Notify;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::extensions::interrupt::Interrupter;

/// The time during which changes are collected after the first one: editors save a file in several steps.
const COLLECTION: Duration = Duration::from_millis(200);
/// The time after which the execution of a script that does not stop is terminated.
const GRACE: Duration = Duration::from_secs(1);

/// The reason to stop a script.
#[derive(Debug)]
pub enum Stop {
    /// Files have changed. The list is not empty.
    Changed(Vec<PathBuf>),
    /// The user has interrupted the process.
    Interrupted,
}

/// Watches files on a thread of its own, so that it can stop a script that never yields.
pub struct FileWatcher {
    shared: Arc<Shared>,
    stops: UnboundedReceiver<Stop>,
}

/// The files of a module and its imports, which are added while it is loaded.
#[derive(Clone)]
pub struct WatchedFiles {
    shared: Arc<Shared>,
    own: Arc<Mutex<HashSet<PathBuf>>>,
}

struct Shared {
    watcher: Mutex<RecommendedWatcher>,
    state: Arc<Mutex<State>>,
    /// Signalled when a script has stopped.
    stopped: Notify,
}

#[derive(Default)]
struct State {
    files: HashSet<PathBuf>,
    trees: Vec<Tree>,
    /// The directories that the operating system watches.
    directories: HashSet<PathBuf>,
    excluded: PathOrPatternSet,
    /// Interrupts the running script.
    interrupter: Option<Interrupter>,
}

/// A directory in which all files are watched.
struct Tree {
    directory: PathBuf,
    /// Whether only files that may be modules count.
    modules_only: bool,
}

impl Tree {
    fn covers(&self, path: &Path) -> bool {
        path.starts_with(&self.directory) && !(self.modules_only && MediaType::from_path(path) == MediaType::Unknown)
    }
}

impl State {
    fn is_watched(&self, path: &Path) -> bool {
        let is_named = self.files.contains(path) || self.trees.iter().any(|tree| tree.covers(path));
        // A pattern that matches a directory excludes everything in it.
        is_named && !path.ancestors().any(|path| self.excluded.matches_path(path))
    }
}

impl FileWatcher {
    /// Starts to watch, without any files yet.
    ///
    /// # Errors
    /// The operating system cannot watch files, or start a thread.
    pub fn new(excluded: PathOrPatternSet) -> io::Result<Self> {
        let (changed, changes) = unbounded_channel();
        let state = Arc::new(Mutex::new(State { excluded, ..State::default() }));
        let watched = state.clone();
        let report = move |event: notify::Result<notify::Event>| {
            let Ok(event) = event else { return };
            if event.kind.is_create() || event.kind.is_modify() || event.kind.is_remove() {
                let state = lock(&watched);
                for path in event.paths.into_iter().filter(|path| state.is_watched(path)) {
                    // Without a receiver, the watcher is about to be dropped.
                    let _ = changed.send(path);
                }
            }
        };
        let watcher = Mutex::new(notify::recommended_watcher(report).map_err(io::Error::other)?);
        let shared = Arc::new(Shared { watcher, state, stopped: Notify::new() });
        let (stop, stops) = unbounded_channel();
        let tokio = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        // With deno_signals, as scripts listen with it, too: where they no longer do, it would terminate the process.
        let (interrupt, interrupts) = unbounded_channel();
        let interrupted = Box::new(move || {
            // Fails if nothing is watched any longer.
            let _ = interrupt.send(());
        });
        let signal = deno_signals::signal_str_to_int("SIGINT").map_err(io::Error::other)?;
        deno_signals::register(signal, true, interrupted)?;
        let on_thread = shared.clone();
        thread::Builder::new()
            .name("openkv-watch".into())
            .spawn(move || tokio.block_on(on_thread.stop_scripts(changes, interrupts, stop)))?;
        Ok(Self { shared, stops })
    }

    /// Returns an empty set of files.
    pub fn files(&self) -> WatchedFiles {
        WatchedFiles { shared: self.shared.clone(), own: Arc::default() }
    }

    /// Watches a file, or everything in a directory.
    pub fn add(&self, path: &Path) {
        if path.is_dir() {
            self.shared.add_tree(path, false);
        } else {
            self.shared.add_file(path);
        }
    }

    /// Watches a file, or everything in a directory that may be a module.
    pub fn add_modules(&self, path: &Path) {
        if path.is_dir() {
            self.shared.add_tree(path, true);
        } else {
            self.shared.add_file(path);
        }
    }

    /// Waits for a reason to stop the script.
    pub async fn next(&mut self) -> Stop {
        // The thread runs as long as the process.
        self.stops.recv().await.unwrap_or(Stop::Interrupted)
    }

    /// Returns the reason to stop the script, if there is one already.
    pub fn try_next(&mut self) -> Option<Stop> {
        self.stops.try_recv().ok()
    }

    /// Notes that the script has stopped. Must be called once for each [`Stop`].
    pub fn stopped(&self) {
        {
            let mut state = lock(&self.shared.state);
            state.interrupter = None;
            // The next run watches them again, as they may have been replaced.
            state.directories.clear();
        }
        self.shared.stopped.notify_one();
    }
}

impl WatchedFiles {
    /// Adds a file.
    pub(crate) fn add(&self, path: &Path) {
        lock(&self.own).extend(with_target(path));
        self.shared.add_file(path);
    }

    /// Sets what interrupts the JavaScript of the script if it does not yield.
    pub(crate) fn attach(&self, interrupter: Interrupter) {
        lock(&self.shared.state).interrupter = Some(interrupter);
    }

    /// Returns whether one of the files is among `paths`.
    pub fn contains_any(&self, paths: &[PathBuf]) -> bool {
        let own = lock(&self.own);
        paths.iter().any(|path| own.contains(path))
    }
}

impl Shared {
    /// Watches a file through its directory: editors replace files, and a file that is missing may appear.
    fn add_file(&self, path: &Path) {
        for path in with_target(path) {
            // The lock is released before the watcher is called, which waits for its own thread.
            lock(&self.state).files.insert(path.clone());
            if let Some(directory) = path.parent() {
                self.watch_directory(directory);
            }
        }
    }

    fn add_tree(&self, directory: &Path, modules_only: bool) {
        for directory in with_target(directory) {
            let is_new = {
                let mut state = lock(&self.state);
                state.trees.retain(|tree| tree.directory != directory);
                state.trees.push(Tree { directory: directory.clone(), modules_only });
                state.directories.insert(directory.clone())
            };
            if is_new {
                self.watch_path(&directory, RecursiveMode::Recursive);
            }
        }
    }

    /// Watches the entries of a directory.
    fn watch_directory(&self, directory: &Path) {
        let is_new = {
            let mut state = lock(&self.state);
            !state.trees.iter().any(|tree| directory.starts_with(&tree.directory))
                && state.directories.insert(directory.to_owned())
        };
        if is_new {
            self.watch_path(directory, RecursiveMode::NonRecursive);
        }
    }

    /// Makes the operating system watch a directory. If that fails, the directory is treated as unchanging.
    fn watch_path(&self, directory: &Path, mode: RecursiveMode) {
        let _ = lock(&self.watcher).watch(directory, mode);
    }

    /// Sends the reasons to stop, and terminates the execution of scripts that do not stop by themselves.
    async fn stop_scripts(
        self: Arc<Self>,
        mut changes: UnboundedReceiver<PathBuf>,
        mut interrupts: UnboundedReceiver<()>,
        stops: UnboundedSender<Stop>,
    ) {
        loop {
            let stop = tokio::select! {
                Some(path) = changes.recv() => Stop::Changed(collect(path, &mut changes).await),
                Some(()) = interrupts.recv() => Stop::Interrupted,
            };
            if stops.send(stop).is_err() {
                return;
            }
            while tokio::time::timeout(GRACE, self.stopped.notified()).await.is_err() {
                if let Some(interrupter) = &lock(&self.state).interrupter {
                    interrupter.interrupt();
                }
            }
        }
    }
}

/// Collects the paths that change shortly after the first one.
async fn collect(first: PathBuf, changes: &mut UnboundedReceiver<PathBuf>) -> Vec<PathBuf> {
    let mut paths = vec![first];
    let end = tokio::time::sleep(COLLECTION);
    tokio::pin!(end);
    loop {
        tokio::select! {
            () = &mut end => return paths,
            path = changes.recv() => match path {
                Some(path) if !paths.contains(&path) => paths.push(path),
                Some(_) => {}
                None => return paths,
            }
        }
    }
}

/// Returns a path, and its target if they differ.
fn with_target(path: &Path) -> impl Iterator<Item = PathBuf> + use<> {
    let target = path.canonicalize().ok().filter(|target| target != path);
    [path.to_owned()].into_iter().chain(target)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
