use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_util::Stream;

use crate::database::WeakDatabase;
use crate::{BoxFuture, Database, Result};

impl Database {
    /// Delivers the messages of the queue one by one, as they become due. See [`Deliveries`].
    ///
    /// ```
    /// use openkv_engine::sqlite::{self, Location, Options};
    /// use openkv_engine::{AtomicWrite, Enqueue};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), openkv_engine::Error> {
    /// let database = sqlite::open(Location::Memory, Options::default())?;
    /// let mut deliveries = database.deliveries();
    /// database.write(AtomicWrite::new().enqueue(Enqueue::encode("hello")?)).await?.into_result()?;
    ///
    /// let delivery = deliveries.next().await.transpose()?.expect("the database is open");
    /// assert_eq!(delivery.decode::<String>()?, "hello");
    /// delivery.done().await?;
    ///
    /// database.close();
    /// assert!(deliveries.next().await.is_none());
    /// # Ok(())
    /// # }
    /// ```
    pub fn deliveries(&self) -> Deliveries {
        Deliveries::new(self.downgrade())
    }
}

/// A message in flight. Call [`Delivery::done`] after handling it, or [`Delivery::retry`] on a failure.
///
/// An attempt counts once [`Delivery::start`] was called, which [`Deliveries`] does. If the delivery is dropped, or the process
/// crashes, before that, the message is requeued unchanged. If it is dropped afterwards, the attempt has failed, as with
/// [`Delivery::retry`]. If the process crashes afterwards, the message is requeued according to its schedule about 5 seconds later;
/// after a crash during the start, the attempt may not count.
#[must_use = "a message whose delivery is dropped is redelivered"]
pub struct Delivery {
    /// The message, in V8's serialization format.
    pub message: Vec<u8>,
    claim: Box<dyn Claim>,
}

/// A backend's claim of a message, whose lease is renewed until it is finished or dropped.
pub trait Claim: Send + Sync {
    /// See [`Delivery::start`].
    fn start(&self);

    /// Ends the delivery: see [`Delivery::done`], or [`Delivery::retry`] if `success` is false.
    fn finish(self: Box<Self>, success: bool) -> BoxFuture<()>;
}

impl Delivery {
    /// Returns the delivery of a message with its claim.
    pub fn new(message: Vec<u8>, claim: impl Claim + 'static) -> Self {
        Self { message, claim: Box::new(claim) }
    }

    /// Starts the attempt to handle the message.
    pub fn start(&self) {
        self.claim.start();
    }

    /// Removes the message from the queue, after it was handled.
    ///
    /// # Errors
    /// A failure of the storage. The message is redelivered.
    pub fn done(self) -> BoxFuture<()> {
        self.claim.finish(true)
    }

    /// Requeues a message that was not handled. It is redelivered according to its backoff schedule. After the last delivery, it is
    /// stored under its keys for undelivered messages.
    ///
    /// # Errors
    /// A failure of the storage. The message is redelivered.
    pub fn retry(self) -> BoxFuture<()> {
        self.claim.finish(false)
    }
}

impl std::fmt::Debug for Delivery {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Delivery").field("message", &self.message).finish_non_exhaustive()
    }
}

/// A stream of the messages of a queue, one at a time, as they become due. It ends when the database is closed, which it does not
/// keep open. The stream calls [`Delivery::start`] before it returns a message.
///
/// After an error, the stream continues, and tries again a second later.
#[must_use = "messages are delivered only when the stream is polled"]
pub struct Deliveries {
    database: WeakDatabase,
    claiming: Option<BoxFuture<Option<Delivery>>>,
}

impl Deliveries {
    pub(crate) fn new(database: WeakDatabase) -> Self {
        Self { database, claiming: None }
    }

    /// Waits for the next message.
    ///
    /// # Errors
    /// A failure of the storage.
    pub async fn next(&mut self) -> Option<Result<Delivery>> {
        poll_fn(|context| Pin::new(&mut *self).poll_next(context)).await
    }
}

impl Stream for Deliveries {
    type Item = Result<Delivery>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.claiming.is_none() {
            let Some(database) = self.database.upgrade() else { return Poll::Ready(None) };
            self.claiming = Some(database.dequeue_one());
        }
        let Some(claiming) = &mut self.claiming else { return Poll::Ready(None) };
        let claimed = ready!(claiming.as_mut().poll(context));
        self.claiming = None;
        Poll::Ready(claimed.transpose().map(|delivery| delivery.inspect(Delivery::start)))
    }
}

impl std::fmt::Debug for Deliveries {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Deliveries").finish_non_exhaustive()
    }
}
