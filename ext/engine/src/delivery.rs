use crate::BoxFuture;

/// A message being delivered.
///
/// An attempt to handle it counts once [`Delivery::start`] was called. A delivery that is dropped before goes back to the queue as
/// it was, and so does one whose process dies before. One that is dropped later was not handled, as by
/// [`Delivery::finish`] with false. If the process dies later, the message is requeued along its schedule some 5 seconds
/// afterwards. Should it die at the moment of the start, that attempt may not count.
pub struct Delivery {
    /// The message, in V8's serialization format.
    pub message: Vec<u8>,
    claim: Box<dyn Claim>,
}

/// A backend's claim of a message, which is renewed until it is finished or dropped.
pub trait Claim: Send + Sync {
    /// See [`Delivery::start`].
    fn start(&self);

    /// See [`Delivery::finish`].
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

    /// Ends the delivery. A message that was handled is gone; the others are delivered again along their backoff
    /// schedule, and then given to the keys that they name for this.
    ///
    /// # Errors
    /// A failure of the storage. The message is delivered again.
    pub fn finish(self, success: bool) -> BoxFuture<()> {
        self.claim.finish(success)
    }
}
