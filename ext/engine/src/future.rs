use std::pin::Pin;

use futures_util::Stream;

use crate::Result;

/// The future of a result. Dropping it does not cancel the operation.
pub type BoxFuture<T> = Pin<Box<dyn Future<Output = Result<T>> + Send>>;

/// A stream of results.
pub type BoxStream<T> = Pin<Box<dyn Stream<Item = Result<T>> + Send>>;

/// Returns a completed future.
pub(crate) fn ready<T: Send + 'static>(result: Result<T>) -> BoxFuture<T> {
    Box::pin(std::future::ready(result))
}
