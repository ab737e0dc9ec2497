use std::borrow::Cow;
use std::cell::RefCell;
use std::rc::Rc;

use deno_core::{AsyncRefCell, CancelHandle, CancelTryFuture, OpState, RcRef, Resource, ResourceId, op2};
use openkv_engine::Watch;

use crate::error::KvError;
use crate::open::database;
use crate::read::KeysArgument;

struct WatchResource {
    watch: AsyncRefCell<Watch>,
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

/// Watches keys. Answers a resource.
#[op2(reentrant)]
#[smi]
pub(crate) fn op_openkv_watch(
    state: &mut OpState,
    #[smi] rid: ResourceId,
    #[scoped] keys: KeysArgument,
) -> Result<ResourceId, KvError> {
    let watch = database(state, rid)?.database.watch(&keys.0?)?;
    let resource = WatchResource { watch: AsyncRefCell::new(watch), closed: CancelHandle::new() };
    Ok(state.resource_table.add(resource))
}

/// Waits until a watched key may have changed. Answers false once the database, or the watch, was closed.
#[op2]
pub(crate) async fn op_openkv_watch_next(state: Rc<RefCell<OpState>>, #[smi] rid: ResourceId) -> bool {
    let Ok(resource) = state.borrow().resource_table.get::<WatchResource>(rid) else {
        return false;
    };
    let closed = RcRef::map(&resource, |resource| &resource.closed);
    let next = async {
        let mut watch = RcRef::map(&resource, |resource| &resource.watch).borrow_mut().await;
        Ok::<_, deno_core::Canceled>(watch.changed().await)
    };
    next.try_or_cancel(closed).await.unwrap_or(false)
}

/// Says why there is no watch in a host without streams.
#[op2(fast)]
pub(crate) fn op_openkv_refuse_watch() -> Result<(), KvError> {
    Err(KvError::NoStreams)
}
