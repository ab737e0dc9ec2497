use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_util::Stream;

use crate::database::WeakDatabase;
use crate::{BoxFuture, Database, Result};

impl Database {
    /// Delivers the messages of the queue, one after the other as they become due. See [`Deliveries`].
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

/// A message being delivered. Whoever handled it calls [`Delivery::done`], and who could not, [`Delivery::retry`].
///
/// An attempt to handle it counts once [`Delivery::start`] was called, which [`Deliveries`] do. A delivery that is dropped before
/// goes back to the queue as it was, and so does one whose process dies before. One that is dropped later was not handled, as by
/// [`Delivery::retry`]. If the process dies later, the message is requeued along its schedule some 5 seconds afterwards. Should
/// it die at the moment of the start, that attempt may not count.
#[must_use = "a delivery that is dropped is delivered again"]
pub struct Delivery {
    /// The message, in V8's serialization format.
    pub message: Vec<u8>,
    claim: Box<dyn Claim>,
}

/// A backend's claim of a message, which is renewed until it is finished or dropped.
pub trait Claim: Send + Sync {
    /// See [`Delivery::start`].
    fn start(&self);

    /// Ends the delivery: see [`Delivery::done`], and [`Delivery::retry`] for one without success.
    fn finish(self: Box<Self>, success: bool) -> BoxFuture<()>;
}

impl Delivery {
    /// A message, and the claim of it.
    pub fn new(message: Vec<u8>, claim: impl Claim + 'static) -> Self {
        Self { message, claim: Box::new(claim) }
    }

    /// Notes that the message is handled from now on.
    pub fn start(&self) {
        self.claim.start();
    }

    /// Ends the delivery of a message that was handled: it is gone.
    ///
    /// # Errors
    /// A failure of the storage. The message is delivered again.
    pub fn done(self) -> BoxFuture<()> {
        self.claim.finish(true)
    }

    /// Ends the delivery of a message that was not handled. It is delivered again along its backoff schedule, and after the last
    /// delivery given to the keys that it names for this.
    ///
    /// # Errors
    /// A failure of the storage. The message is delivered again.
    pub fn retry(self) -> BoxFuture<()> {
        self.claim.finish(false)
    }
}

impl std::fmt::Debug for Delivery {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Delivery").field("message", &self.message).finish_non_exhaustive()
    }
}

/// The messages of a queue, one at a time as they become due: a stream that ends with the database, which it does not keep open.
/// Each is handled from the moment on at which the stream returns it: see [`Delivery`].
///
/// After an error, it goes on, and tries again a second later.
#[must_use = "nothing is delivered before the stream is asked"]
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
