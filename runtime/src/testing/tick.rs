use std::future::poll_fn;
use std::task::Poll;

use deno_core::error::CoreError;
use deno_core::{JsRuntime, PollEventLoopOptions};

/// Runs one tick of the event loop.
///
/// # Errors
/// An uncaught exception of the script.
pub(super) async fn tick(js: &mut JsRuntime) -> Result<(), CoreError> {
    let mut result = Ok(());
    poll_fn(|context| {
        if let Poll::Ready(done) = js.poll_event_loop(context, PollEventLoopOptions::default()) {
            result = done;
        }
        Poll::Ready(())
    })
    .await;
    // Lets tokio process events of sockets and other threads.
    tokio::task::yield_now().await;
    result
}
