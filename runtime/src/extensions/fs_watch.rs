//! `Deno.watchFs`.

use std::borrow::Cow;
use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use deno_core::{AsyncRefCell, CancelFuture, CancelHandle, OpState, RcRef, Resource, ResourceId, ToV8, op2};
use deno_error::JsErrorBox;
use deno_path_util::normalize_path;
use deno_permissions::{OpenAccessKind, PermissionsContainer};
use notify::event::{AccessKind, EventKind, ModifyKind};
use notify::{RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::sync::mpsc::{Receiver, channel};

/// The capacity of the queue of changes, similar to Deno's.
const CAPACITY: usize = 1024;

/// A change of files.
#[derive(ToV8)]
pub(crate) struct Change {
    /// "any", "access", "create", "modify", "rename", "remove" or "other".
    kind: &'static str,
    paths: Vec<String>,
    /// "rescan" if changes may have been missed.
    flag: Option<&'static str>,
}

impl From<notify::Event> for Change {
    fn from(event: notify::Event) -> Self {
        let kind = match event.kind {
            EventKind::Any => "any",
            EventKind::Access(_) => "access",
            EventKind::Create(_) => "create",
            EventKind::Modify(ModifyKind::Name(_)) => "rename",
            EventKind::Modify(_) => "modify",
            EventKind::Remove(_) => "remove",
            EventKind::Other => "other",
        };
        let paths = event.paths.iter().map(|path| path.to_string_lossy().into_owned()).collect();
        Self { kind, paths, flag: None }
    }
}

/// An open watcher.
struct Watcher {
    changes: AsyncRefCell<Receiver<notify::Result<notify::Event>>>,
    /// Whether changes were dropped, as the queue was full.
    overflowed: Arc<AtomicBool>,
    /// The watched paths, which the script must scan again if changes were dropped.
    paths: Vec<PathBuf>,
    closed: CancelHandle,
    /// Stops watching when it is dropped.
    _watcher: RecommendedWatcher,
}

impl Resource for Watcher {
    fn name(&self) -> Cow<'_, str> {
        "fsEvents".into()
    }

    fn close(self: Rc<Self>) {
        self.closed.cancel();
    }
}

impl Watcher {
    /// Returns the change that replaces dropped ones.
    fn rescan(&self) -> Change {
        let paths = self.paths.iter().map(|path| path.to_string_lossy().into_owned()).collect();
        Change { kind: "any", paths, flag: Some("rescan") }
    }
}

/// Paths whose changes are not reported, including everything within them.
struct Ignored(Vec<PathBuf>);

impl Ignored {
    /// Adds the target of each path, as it may be watched by another path.
    fn new(paths: Vec<PathBuf>) -> Self {
        let targets: Vec<_> = paths.iter().filter_map(|path| path.canonicalize().ok()).collect();
        Self([paths, targets].concat())
    }

    /// Returns whether all paths of an event are ignored.
    fn covers(&self, event: &notify::Event) -> bool {
        let is_covered = |path: &PathBuf| self.contains(path) || target(path).is_some_and(|path| self.contains(&path));
        !self.0.is_empty() && !event.paths.is_empty() && event.paths.iter().all(is_covered)
    }

    fn contains(&self, path: &Path) -> bool {
        self.0.iter().any(|ignored| path.starts_with(ignored))
    }
}

/// Resolves the directory of a path, which may have been removed itself. A link as its last component is not followed, as the
/// event is about the link.
fn target(path: &Path) -> Option<PathBuf> {
    Some(path.parent()?.canonicalize().ok()?.join(path.file_name()?))
}

/// Starts to watch paths, with everything within them if `recursive`.
#[op2(stack_trace)]
#[smi]
pub(crate) fn op_openkv_fs_watch_open(
    state: &mut OpState,
    recursive: bool,
    #[serde] ignored: Vec<String>,
    #[serde] paths: Vec<String>,
) -> Result<ResourceId, JsErrorBox> {
    let permissions = state.borrow::<PermissionsContainer>();
    let ignored = Ignored::new(resolve(permissions, ignored)?);
    let paths = resolve(permissions, paths)?;
    let (sender, changes) = channel(CAPACITY);
    let overflowed = Arc::new(AtomicBool::new(false));
    let overflows = overflowed.clone();
    let report = move |event: notify::Result<notify::Event>| {
        // Opening a file is not reported, as reads by the script itself would be, too.
        let is_reported = !matches!(&event, Ok(event)
            if matches!(event.kind, EventKind::Access(AccessKind::Open(_))) || ignored.covers(event));
        // Without a receiver, the watcher is about to be dropped.
        if is_reported && sender.try_send(event).is_err() {
            overflows.store(true, Ordering::Release);
        }
    };
    let mut watcher = notify::recommended_watcher(report).map_err(failed)?;
    let mode = if recursive { RecursiveMode::Recursive } else { RecursiveMode::NonRecursive };
    for path in &paths {
        watcher.watch(path, mode).map_err(|error| failed(error.add_path(path.clone())))?;
    }
    let (changes, closed) = (AsyncRefCell::new(changes), CancelHandle::default());
    Ok(state.resource_table.add(Watcher { changes, overflowed, paths, closed, _watcher: watcher }))
}

/// Checks that the script may read paths, and makes them absolute.
fn resolve(permissions: &PermissionsContainer, paths: Vec<String>) -> Result<Vec<PathBuf>, JsErrorBox> {
    let directory = std::env::current_dir().map_err(JsErrorBox::from_err)?;
    let resolve = |path: String| {
        let path = permissions
            .check_open(Cow::Owned(path.into()), OpenAccessKind::ReadNoFollow, Some("Deno.watchFs"))
            .map_err(JsErrorBox::from_err)?;
        Ok(normalize_path(Cow::Owned(directory.join(path))).into_owned())
    };
    paths.into_iter().map(resolve).collect()
}

/// Returns the next change, or `None` if the watcher was closed.
#[op2]
pub(crate) async fn op_openkv_fs_watch_next(
    state: Rc<RefCell<OpState>>,
    #[smi] rid: ResourceId,
) -> Result<Option<Change>, JsErrorBox> {
    let watcher = state.borrow().resource_table.get::<Watcher>(rid).map_err(JsErrorBox::from_err)?;
    let mut changes = RcRef::map(&watcher, |watcher| &watcher.changes).borrow_mut().await;
    if watcher.overflowed.swap(false, Ordering::Acquire) {
        // The script must scan everything again, which covers the changes in the queue.
        while changes.try_recv().is_ok() {}
        return Ok(Some(watcher.rescan()));
    }
    let closed = RcRef::map(&watcher, |watcher| &watcher.closed);
    match changes.recv().or_cancel(closed).await {
        // The queue of the operating system overflowed.
        Ok(Some(Ok(event))) if event.need_rescan() => Ok(Some(watcher.rescan())),
        Ok(Some(Ok(event))) => Ok(Some(event.into())),
        Ok(Some(Err(error))) => Err(failed(error)),
        Ok(None) | Err(_) => Ok(None),
    }
}

fn failed(error: notify::Error) -> JsErrorBox {
    let paths = error.paths.iter().map(|path| format!(" {path:?}")).collect::<String>();
    match error.kind {
        notify::ErrorKind::Io(error) => {
            JsErrorBox::new(deno_error::JsErrorClass::get_class(&error), format!("{error}{paths}"))
        }
        notify::ErrorKind::PathNotFound => JsErrorBox::new("NotFound", format!("no such file or directory:{paths}")),
        kind => JsErrorBox::generic(format!("{kind:?}{paths}")),
    }
}
