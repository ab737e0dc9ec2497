//! Parts that backends over a network share, in addition to [`Order`](crate::Order).

use std::sync::{Arc, OnceLock};

use futures_util::{StreamExt, stream};
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::sync::{mpsc, watch};

use crate::{BoxFuture, BoxStream, Error, Result, Turn, WatchEvent};

/// Returns the default runtime, which all remote databases of the process share. It has its own thread, so that their tasks make
/// progress while callers block, or run no event loop.
///
/// # Errors
/// [`Error::Thread`] if the thread cannot be started.
pub fn runtime() -> Result<Handle> {
    static SHARED: OnceLock<Result<Runtime>> = OnceLock::new();
    let start = || {
        let mut builder = Builder::new_multi_thread();
        builder.worker_threads(1).thread_name("openkv-remote").enable_all();
        builder.build().map_err(|error| Error::Thread(Arc::new(error)))
    };
    SHARED.get_or_init(start).as_ref().map(|runtime| runtime.handle().clone()).map_err(Clone::clone)
}

/// Runs a read on a runtime, in its turn. Fails with `stopped` if the runtime shuts down before.
pub fn read_in_turn<T: Send + 'static>(
    runtime: &Handle,
    mut turn: Turn,
    read: impl Future<Output = Result<T>> + Send + 'static,
    stopped: impl Into<Error> + Send + 'static,
) -> BoxFuture<T> {
    let task = runtime.spawn(async move {
        turn.wait().await;
        let result = read.await;
        drop(turn);
        result
    });
    Box::pin(async move { task.await.unwrap_or_else(|_| Err(stopped.into())) })
}

/// Returns the events of a watch as a stream, which ends when the database is closed: when the sender of `closed` is dropped.
pub fn until_closed(
    mut events: mpsc::Receiver<Result<WatchEvent>>,
    mut closed: watch::Receiver<()>,
) -> BoxStream<WatchEvent> {
    let end = async move {
        let _ = closed.changed().await;
    };
    Box::pin(stream::poll_fn(move |context| events.poll_recv(context)).take_until(end))
}
