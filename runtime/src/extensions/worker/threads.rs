//! Messages between any two threads, for `postMessageToThread` of `node:worker_threads`. deno_node calls the ops under these
//! names.

use std::cell::RefCell;
use std::collections::HashMap;
use std::future::poll_fn;
use std::rc::Rc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use deno_core::{DetachedBuffer, OpState, op2};
use deno_web::{JsMessageData, MessagePortError, Transferable, deserialize_js_transferables, serialize_transferables};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// A serialized message and its transferables.
pub(crate) type Message = (DetachedBuffer, Vec<Transferable>);

/// Converts a message of an isolate. Its transferables leave the isolate.
pub(super) fn detach(state: &mut OpState, message: JsMessageData) -> Result<Message, MessagePortError> {
    Ok((message.data, deserialize_js_transferables(state, message.transferables)?))
}

/// Converts a message for the isolate that receives it.
pub(crate) fn attach(state: &mut OpState, (data, transferables): Message) -> JsMessageData {
    JsMessageData { data, transferables: serialize_transferables(state, transferables) }
}

/// The threads of a script: that of its main isolate, and those of its workers.
#[derive(Clone, Default)]
pub(crate) struct Threads(Arc<State>);

#[derive(Default)]
struct State {
    last_id: AtomicU32,
    /// The threads that receive messages, by id. The id of the main thread is 0.
    receivers: Mutex<HashMap<u32, Receiver>>,
}

struct Receiver {
    sender: UnboundedSender<Message>,
    /// The number of listeners of `workerMessage`.
    listeners: u32,
}

impl Threads {
    /// Returns the id of a new worker.
    pub fn next_id(&self) -> u32 {
        self.0.last_id.fetch_add(1, Ordering::Relaxed) + 1
    }

    fn receivers(&self) -> MutexGuard<'_, HashMap<u32, Receiver>> {
        // The map remains valid if a thread panics while it holds the lock.
        self.0.receivers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The messages of other threads to this one, which stops receiving them when it is dropped.
struct Inbox {
    thread: u32,
    threads: Threads,
    messages: RefCell<UnboundedReceiver<Message>>,
}

impl Drop for Inbox {
    fn drop(&mut self) {
        self.threads.receivers().remove(&self.thread);
    }
}

/// Registers this thread as a receiver of messages. Returns the id of its inbox; a thread has only one.
#[op2(fast)]
pub(super) fn op_node_worker_thread_register(state: &mut OpState, thread: u32) -> u32 {
    let threads = state.borrow::<Threads>().clone();
    let (sender, messages) = unbounded_channel();
    // Dropped first, as it removes its receiver.
    drop(state.try_take::<Rc<Inbox>>());
    threads.receivers().insert(thread, Receiver { sender, listeners: 0 });
    state.put(Rc::new(Inbox { thread, threads, messages: RefCell::new(messages) }));
    0
}

/// Sets the number of listeners that a thread has.
#[op2(fast)]
pub(super) fn op_node_worker_thread_set_listener_count(state: &mut OpState, thread: u32, count: u32) {
    if let Some(receiver) = state.borrow::<Threads>().receivers().get_mut(&thread) {
        receiver.listeners = count;
    }
}

/// Sends a message to a thread. Returns 0 if the thread does not receive messages, 1 if it has no listener, which `force`
/// ignores, and 2 if the message was sent.
#[op2]
pub(super) fn op_node_worker_thread_post_message(
    state: &mut OpState,
    thread: u32,
    #[serde] message: JsMessageData,
    force: bool,
) -> Result<u8, MessagePortError> {
    let threads = state.borrow::<Threads>().clone();
    let sender = match threads.receivers().get(&thread) {
        None => return Ok(0),
        Some(receiver) if receiver.listeners == 0 && !force => return Ok(1),
        Some(receiver) => receiver.sender.clone(),
    };
    let message = detach(state, message)?;
    // The thread may have ended meanwhile.
    Ok(if sender.send(message).is_ok() { 2 } else { 0 })
}

/// Returns the next message to this thread.
#[op2]
pub(super) async fn op_node_worker_thread_recv_message(
    state: Rc<RefCell<OpState>>,
    _inbox: u32,
) -> Option<JsMessageData> {
    let inbox = state.borrow().try_borrow::<Rc<Inbox>>()?.clone();
    let message = poll_fn(|context| inbox.messages.borrow_mut().poll_recv(context)).await?;
    Some(attach(&mut state.borrow_mut(), message))
}
