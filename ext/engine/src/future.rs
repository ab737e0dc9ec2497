use std::pin::Pin;

use futures_util::Stream;

use crate::Result;

/// The future of a result. Dropping it gives up the result, not the work.
pub type BoxFuture<T> = Pin<Box<dyn Future<Output = Result<T>> + Send>>;

/// A stream of results.
pub type BoxStream<T> = Pin<Box<dyn Stream<Item = Result<T>> + Send>>;

/// A future that is done.
pub(crate) fn ready<T: Send + 'static>(result: Result<T>) -> BoxFuture<T> {
    Box::pin(std::future::ready(result))
}
