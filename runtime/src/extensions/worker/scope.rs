//! The ops of the global scope of a worker.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use deno_core::{DetachedBuffer, JsBuffer, OpState, op2};
use deno_web::{JsMessageData, MessagePort, MessagePortError, RecvMessageData};

use super::Link;

/// The connection of a worker with its parent. In the state of an isolate that is a worker's.
#[derive(Clone)]
pub(crate) struct WorkerScope {
    pub link: Arc<Link>,
    pub port: Rc<MessagePort>,
}

/// Sends a message without transferables. Once the parent is gone, messages are dropped.
pub(super) fn send(port: &MessagePort, message: JsBuffer) {
    let message = DetachedBuffer::from_v8slice(message.into_parts());
    if let Some(sender) = &*port.tx.borrow() {
        let _ = sender.send((message, Vec::new()));
    }
}

fn port(state: &OpState) -> Rc<MessagePort> {
    state.borrow::<WorkerScope>().port.clone()
}

/// Sends a message to the parent.
#[op2]
pub(super) fn op_openkv_worker_post(
    state: &mut OpState,
    #[serde] message: JsMessageData,
) -> Result<(), MessagePortError> {
    port(state).send(state, message)
}

/// Sends a serialized message without transferables to the parent.
#[op2]
pub(super) fn op_openkv_worker_post_raw(state: &mut OpState, #[buffer(detach)] message: JsBuffer) {
    send(&port(state), message);
}

/// Returns the next message of the parent, or null once it sends no more. Never immediately: the main module runs before its
/// first message is dispatched.
#[op2(async(lazy), fast)]
pub(super) async fn op_openkv_worker_receive(
    state: Rc<RefCell<OpState>>,
) -> Result<Option<RecvMessageData>, MessagePortError> {
    let port = port(&state.borrow());
    port.recv(state).await
}

/// Never returns. Keeps the event loop alive: a worker with nothing left to do waits for messages, and one that is terminated
/// has not failed because its modules can no longer be evaluated.
#[op2]
pub(super) async fn op_openkv_worker_stay() {
    std::future::pending().await
}

/// Returns the next message of the parent if it has arrived.
#[op2]
pub(super) fn op_openkv_worker_try_receive(state: &mut OpState) -> Result<Option<JsMessageData>, MessagePortError> {
    port(state).try_recv_sync(state)
}

/// Ends the worker: no JavaScript runs after this call.
#[op2(fast)]
pub(super) fn op_openkv_worker_close(state: &mut OpState) {
    state.borrow::<WorkerScope>().link.close();
}
