use std::future::poll_fn;

use crate::BoxStream;
use crate::{Result, WatchEvent};

/// A watch of keys. Ends when it is dropped, or with the database.
pub struct Watch {
    /// None once it has ended: a stream need not bear being polled again.
    events: Option<BoxStream<WatchEvent>>,
}

impl Watch {
    pub(crate) fn new(events: BoxStream<WatchEvent>) -> Self {
        Self { events: Some(events) }
    }

    /// Waits until a key may have changed since the last call, or since the watch began. Returns false once the database was closed.
    ///
    /// # Errors
    /// See [`Watch::next`].
    pub async fn changed(&mut self) -> Result<bool> {
        self.next().await.transpose().map(|event| event.is_some())
    }

    /// Waits for what changed since the last call, or since the watch began. Returns `None` once the database was closed, or after
    /// an error.
    ///
    /// # Errors
    /// A failure of the storage, or of the connection to it.
    pub async fn next(&mut self) -> Option<Result<WatchEvent>> {
        let events = self.events.as_mut()?;
        let event = poll_fn(|context| events.as_mut().poll_next(context)).await;
        if !matches!(event, Some(Ok(_))) {
            self.events = None;
        }
        event
    }
}
