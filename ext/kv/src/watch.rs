use std::borrow::Cow;
use std::cell::RefCell;
use std::rc::Rc;

use deno_core::{AsyncRefCell, CancelFuture, CancelHandle, OpState, RcRef, Resource, ResourceId, op2, v8};
use openkv_engine::{Entry, ReadEntry, Watch, WatchEvent};

use crate::database::database;
use crate::error::KvError;
use crate::read::{Found, KeysArgument};

struct WatchResource {
    watch: AsyncRefCell<Watch>,
    /// The entries of the last event, until the shim takes them.
    entries: RefCell<Vec<Option<Entry>>>,
    closed: CancelHandle,
}

impl Resource for WatchResource {
    fn name(&self) -> Cow<'_, str> {
        "openkvWatcher".into()
    }

    fn close(self: Rc<Self>) {
        self.closed.cancel();
    }
}

/// Watches keys. Returns a resource.
#[op2(reentrant)]
#[smi]
pub(crate) fn op_openkv_watch(
    state: &mut OpState,
    #[smi] rid: ResourceId,
    #[scoped] keys: KeysArgument,
) -> Result<ResourceId, KvError> {
    let mut watch = database(state, rid)?.database.watch(&keys.0?)?;
    watch.read_now();
    let resource =
        WatchResource { watch: AsyncRefCell::new(watch), entries: RefCell::default(), closed: CancelHandle::new() };
    Ok(state.resource_table.add(resource))
}

/// The values that [`op_openkv_watch_next`] returns. The watch has ended.
const ENDED: u8 = 0;
/// A key may have changed: the shim reads the keys.
const CHANGED: u8 = 1;
/// [`op_openkv_watched`] has the entries.
const ENTRIES: u8 = 2;

/// Waits until a watched key may have changed, or the database, or the watch, was closed.
#[op2]
pub(crate) async fn op_openkv_watch_next(state: Rc<RefCell<OpState>>, #[smi] rid: ResourceId) -> Result<u8, KvError> {
    let Ok(resource) = state.borrow().resource_table.get::<WatchResource>(rid) else {
        return Ok(ENDED);
    };
    let closed = RcRef::map(&resource, |resource| &resource.closed);
    let next = async { RcRef::map(&resource, |resource| &resource.watch).borrow_mut().await.event().await };
    Ok(match next.or_cancel(closed).await {
        Ok(Some(event)) => match event? {
            WatchEvent::Changed => CHANGED,
            WatchEvent::Entries(entries) => {
                resource.entries.replace(entries);
                ENTRIES
            }
        },
        Ok(None) | Err(_) => ENDED,
    })
}

/// Decodes the entries of the last event, in the form of [`op_openkv_get_many`](crate::read::op_openkv_get_many).
#[op2(reentrant)]
pub(crate) fn op_openkv_watched<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    state: Rc<RefCell<OpState>>,
    #[smi] rid: ResourceId,
) -> Result<v8::Local<'s, v8::Value>, KvError> {
    let resource = state.borrow().resource_table.get::<WatchResource>(rid)?;
    let lists =
        resource.entries.take().into_iter().map(|entry| entry.into_iter().map(ReadEntry::from).collect()).collect();
    Found::of_keys(lists).decode(scope, &state)
}

/// Returns the error for a host without streams, where watches are not supported.
#[op2(fast)]
pub(crate) fn op_openkv_reject_watch() -> Result<(), KvError> {
    Err(KvError::NoStreams)
}
