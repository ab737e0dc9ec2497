//! The ops of `Worker`, in the isolate of the parent. deno_node calls them under these names for `node:worker_threads`.

use std::cell::RefCell;
use std::collections::HashMap;
use std::convert::Infallible;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use deno_core::url::Url;
use deno_core::{FromV8, JsBuffer, ModuleResolutionError, OpState, op2, resolve_url};
use deno_error::JsErrorBox;
use deno_permissions::{ChildPermissionError, ChildPermissionsArg, PermissionsContainer};
use deno_web::{
    Blob, BlobStoreTrait, JsMessageData, MessagePort, MessagePortError, RecvMessageData, create_entangled_message_port,
};
use tokio::sync::oneshot;

use super::threads::{Message, Threads, detach};
use super::{End, Link, scope};
use crate::extensions::interrupt::INTERVAL;

/// Starts the thread of a worker.
pub(crate) struct Spawner(pub Box<dyn Fn(NewWorker) -> io::Result<()>>);

/// A worker whose thread is to be started.
pub(crate) struct NewWorker {
    /// The id of the thread.
    pub id: u32,
    pub name: String,
    pub main_module: Url,
    /// The blob of the main module, if it is one: its URL may be revoked before the thread reads it.
    pub main_blob: Option<Arc<Blob>>,
    pub permissions: PermissionsContainer,
    /// The permissions with which the main module and its static imports are loaded.
    pub parent_permissions: PermissionsContainer,
    pub link: Arc<Link>,
    /// The worker's end of the message channel.
    pub port: MessagePort,
    /// Receives the end of the worker after its resources are released.
    pub end: oneshot::Sender<End>,
    /// Dropped when the thread ends.
    pub running: mpsc::Sender<Infallible>,
    /// Set for a worker of `node:worker_threads`.
    pub node: Option<NodeOptions>,
}

/// The options of a worker of `node:worker_threads`.
pub(crate) struct NodeOptions {
    /// The script to run in place of the main module.
    pub script: Option<String>,
    /// `workerData` and other properties, for the bootstrap script of deno_node.
    pub metadata: Message,
    pub limits: Option<ResourceLimits>,
}

/// The heap limits and the stack size of a worker, in MiB.
#[derive(Clone, Copy, FromV8)]
pub(crate) struct ResourceLimits {
    pub max_young_generation_size_mb: Option<usize>,
    pub max_old_generation_size_mb: Option<usize>,
    pub code_range_size_mb: Option<usize>,
    pub stack_size_mb: Option<usize>,
}

/// The workers that an isolate has created. They are terminated when it is dropped.
pub(crate) struct Workers {
    by_id: HashMap<u32, Worker>,
    /// Cloned by each thread. `ended` is disconnected when there are no more clones.
    running: mpsc::Sender<Infallible>,
    ended: mpsc::Receiver<Infallible>,
}

/// The parent's side of a worker.
struct Worker {
    link: Arc<Link>,
    port: Rc<MessagePort>,
    /// Taken by the op that waits for it.
    end: Option<oneshot::Receiver<End>>,
    /// Whether the worker has ended.
    has_ended: bool,
    /// Whether all its messages were received, or no more are wanted.
    is_drained: bool,
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.link.terminate();
    }
}

impl Default for Workers {
    fn default() -> Self {
        let (running, ended) = mpsc::channel();
        Self { by_id: HashMap::new(), running, ended }
    }
}

impl Workers {
    /// Terminates all workers, and waits for their threads, up to a timeout.
    pub fn end(self, timeout: Duration) {
        let Self { by_id, running, ended, .. } = self;
        // The last other sender is dropped when the last thread ends.
        drop(running);
        let deadline = Instant::now() + timeout;
        loop {
            by_id.values().for_each(|worker| worker.link.terminate());
            match ended.recv_timeout(INTERVAL) {
                Err(RecvTimeoutError::Timeout) if Instant::now() < deadline => {}
                _ => break,
            }
        }
    }

    fn port(&self, id: u32) -> Option<Rc<MessagePort>> {
        self.by_id.get(&id).map(|worker| worker.port.clone())
    }

    /// Updates a worker, and removes it when no op needs it any more.
    fn update(&mut self, id: u32, update: impl FnOnce(&mut Worker)) {
        if let Some(worker) = self.by_id.get_mut(&id) {
            update(worker);
            if worker.has_ended && worker.is_drained {
                self.by_id.remove(&id);
            }
        }
    }
}

/// The reason why a worker cannot be created.
#[derive(Debug, thiserror::Error, deno_error::JsError)]
pub(crate) enum Error {
    #[class("DOMExceptionNotSupportedError")]
    #[error("Classic workers are not supported.")]
    Classic,
    #[class(inherit)]
    #[error(transparent)]
    Permission(#[from] ChildPermissionError),
    #[class(inherit)]
    #[error(transparent)]
    Url(#[from] ModuleResolutionError),
    #[class(inherit)]
    #[error(transparent)]
    Transfer(#[from] MessagePortError),
    #[class(inherit)]
    #[error("failed to start the thread of a worker: {0}")]
    Thread(#[from] io::Error),
}

/// The arguments of `new Worker()`. The optional ones at the end are those of `node:worker_threads`.
#[derive(FromV8)]
pub(super) struct Arguments {
    name: Option<String>,
    #[from_v8(serde)]
    permissions: Option<ChildPermissionsArg>,
    specifier: String,
    worker_type: String,
    has_source_code: Option<bool>,
    source_code: Option<String>,
    resource_limits: Option<ResourceLimits>,
}

impl Arguments {
    /// Returns the options of a worker of `node:worker_threads`, or `None` if it is a web worker.
    fn node_options(
        &mut self,
        state: &mut OpState,
        metadata: Option<JsMessageData>,
    ) -> Result<Option<NodeOptions>, Error> {
        match (self.worker_type.as_str(), metadata) {
            ("module", _) => Ok(None),
            ("node", Some(metadata)) => Ok(Some(NodeOptions {
                script: self.source_code.take().filter(|_| self.has_source_code == Some(true)),
                metadata: detach(state, metadata)?,
                limits: self.resource_limits,
            })),
            _ => Err(Error::Classic),
        }
    }
}

/// Creates a worker. Returns its id.
#[op2(stack_trace)]
pub(super) fn op_create_worker(
    state: &mut OpState,
    #[scoped] mut arguments: Arguments,
    #[serde] metadata: Option<JsMessageData>,
) -> Result<u32, Error> {
    let node = arguments.node_options(state, metadata)?;
    let parent_permissions = state.borrow::<PermissionsContainer>().clone();
    let permissions = match arguments.permissions {
        Some(permissions) => parent_permissions.create_child_permissions(permissions)?,
        None => parent_permissions.clone(),
    };
    let main_module = resolve_url(&arguments.specifier)?;
    let main_blob = state.borrow::<Arc<dyn BlobStoreTrait>>().get_object_url(main_module.clone());
    let id = state.borrow::<Threads>().next_id();
    let link = Arc::new(Link::new());
    let (port, port_of_worker) = create_entangled_message_port();
    let (end, ended) = oneshot::channel();
    let running = state.borrow::<Workers>().running.clone();
    (state.borrow::<Spawner>().0)(NewWorker {
        id,
        name: arguments.name.unwrap_or_default(),
        main_module,
        main_blob,
        permissions,
        parent_permissions,
        link: link.clone(),
        port: port_of_worker,
        end,
        running,
        node,
    })?;
    let worker = Worker { link, port: port.into(), end: Some(ended), has_ended: false, is_drained: false };
    state.borrow_mut::<Workers>().by_id.insert(id, worker);
    Ok(id)
}

/// Terminates a worker. `op_host_recv_ctrl` returns once its thread has released its resources.
#[op2(fast)]
pub(super) fn op_host_terminate_worker(state: &mut OpState, #[smi] id: u32) {
    state.borrow_mut::<Workers>().update(id, |worker| {
        worker.link.terminate();
        worker.is_drained = true;
    });
}

/// Waits for the end of a worker.
#[op2]
#[serde]
pub(super) async fn op_host_recv_ctrl(state: Rc<RefCell<OpState>>, #[smi] id: u32) -> End {
    let worker = {
        let mut state = state.borrow_mut();
        let worker = state.borrow_mut::<Workers>().by_id.get_mut(&id);
        worker.and_then(|worker| Some((worker.link.clone(), worker.end.take()?)))
    };
    let Some((link, ended)) = worker else { return End::Closed(0) };
    // Without an end, the thread has panicked.
    let end = link.interrupt_until(ended).await.unwrap_or(End::Closed(1));
    state.borrow_mut().borrow_mut::<Workers>().update(id, |worker| worker.has_ended = true);
    end
}

/// Returns the next message of a worker, or null when there will be no more.
#[op2]
pub(super) async fn op_host_recv_message(
    state: Rc<RefCell<OpState>>,
    #[smi] id: u32,
) -> Result<Option<RecvMessageData>, MessagePortError> {
    let port = state.borrow().borrow::<Workers>().port(id);
    let Some(port) = port else { return Ok(None) };
    let message = port.recv(state.clone()).await?;
    if message.is_none() {
        state.borrow_mut().borrow_mut::<Workers>().update(id, |worker| worker.is_drained = true);
    }
    Ok(message)
}

/// Returns the next message of a worker if it has arrived.
#[op2]
pub(super) fn op_host_recv_message_sync(
    state: &mut OpState,
    #[smi] id: u32,
) -> Result<Option<JsMessageData>, MessagePortError> {
    let Some(port) = state.borrow::<Workers>().port(id) else { return Ok(None) };
    port.try_recv_sync(state)
}

/// Sends a message to a worker.
#[op2]
pub(super) fn op_host_post_message(
    state: &mut OpState,
    #[smi] id: u32,
    #[serde] message: JsMessageData,
) -> Result<(), MessagePortError> {
    let Some(port) = state.borrow::<Workers>().port(id) else { return Ok(()) };
    port.send(state, message)
}

/// Sends a serialized message without transferables to a worker.
#[op2]
pub(super) fn op_host_post_message_raw(state: &mut OpState, #[smi] id: u32, #[buffer(detach)] message: JsBuffer) {
    if let Some(port) = state.borrow::<Workers>().port(id) {
        scope::send(&port, message);
    }
}

/// Writes the user and system CPU time of a worker's thread, in microseconds.
#[op2(fast)]
pub(super) fn op_host_get_worker_cpu_usage(
    state: &mut OpState,
    #[smi] id: u32,
    #[buffer] usage: &mut [f64],
) -> Result<(), JsErrorBox> {
    let worker = state.borrow::<Workers>().by_id.get(&id);
    let times = worker.map_or(Ok([0.0; 2]), |worker| worker.link.cpu_usage())?;
    for (target, time) in usage.iter_mut().zip(times) {
        *target = time;
    }
    Ok(())
}
