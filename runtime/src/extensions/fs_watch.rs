//! `Deno.watchFs`.

use std::borrow::Cow;
use std::cell::RefCell;
use std::path::Path;
use std::rc::Rc;

use deno_core::{AsyncRefCell, CancelFuture, CancelHandle, OpState, RcRef, Resource, ResourceId, ToV8, op2};
use deno_error::JsErrorBox;
use deno_permissions::{OpenAccessKind, PermissionsContainer};
use notify::event::{AccessKind, EventKind, ModifyKind};
use notify::{RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

/// Something that happened to files.
#[derive(ToV8)]
pub(crate) struct Change {
    /// "any", "access", "create", "modify", "rename", "remove" or "other".
    kind: &'static str,
    paths: Vec<String>,
    /// "rescan" where changes may have been missed.
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
        Self { kind, paths, flag: event.need_rescan().then_some("rescan") }
    }
}

/// An open watcher.
struct Watcher {
    changes: AsyncRefCell<UnboundedReceiver<notify::Result<notify::Event>>>,
    closed: CancelHandle,
    /// Watches until it is dropped.
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

/// Watches paths from now on, and what is below them if `recursive`.
#[op2(stack_trace)]
#[smi]
pub(crate) fn op_openkv_fs_watch_open(
    state: &mut OpState,
    recursive: bool,
    #[serde] paths: Vec<String>,
) -> Result<ResourceId, JsErrorBox> {
    let (sender, changes) = unbounded_channel();
    let tell = move |event: notify::Result<notify::Event>| {
        // That a file was opened is not told: it would answer the script's own reading. And without a receiver the watcher
        // is about to be dropped.
        if !matches!(&event, Ok(event) if matches!(event.kind, EventKind::Access(AccessKind::Open(_)))) {
            drop(sender.send(event));
        }
    };
    let mut watcher = notify::recommended_watcher(tell).map_err(failed)?;
    let mode = if recursive { RecursiveMode::Recursive } else { RecursiveMode::NonRecursive };
    for path in &paths {
        let permissions = state.borrow::<PermissionsContainer>();
        let path = permissions
            .check_open(Cow::Borrowed(Path::new(path)), OpenAccessKind::ReadNoFollow, Some("Deno.watchFs"))
            .map_err(JsErrorBox::from_err)?;
        watcher.watch(&path, mode).map_err(|error| failed(error.add_path(path.to_path_buf())))?;
    }
    let watcher = Watcher { changes: AsyncRefCell::new(changes), closed: CancelHandle::default(), _watcher: watcher };
    Ok(state.resource_table.add(watcher))
}

/// The next change; none if the watcher was closed.
#[op2]
pub(crate) async fn op_openkv_fs_watch_next(
    state: Rc<RefCell<OpState>>,
    #[smi] rid: ResourceId,
) -> Result<Option<Change>, JsErrorBox> {
    let watcher = state.borrow().resource_table.get::<Watcher>(rid).map_err(JsErrorBox::from_err)?;
    let mut changes = RcRef::map(&watcher, |watcher| &watcher.changes).borrow_mut().await;
    let closed = RcRef::map(&watcher, |watcher| &watcher.closed);
    match changes.recv().or_cancel(closed).await {
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
        notify::ErrorKind::PathNotFound => JsErrorBox::new("NotFound", format!("there is nothing to watch at{paths}")),
        kind => JsErrorBox::generic(format!("{kind:?}{paths}")),
    }
}
