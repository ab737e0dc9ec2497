//! Batches of messages that clients have claimed.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::Shared;
use openkv_engine::{BoxFuture, Delivery, Random};
use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::sync::watch;
use uuid::Uuid;

use crate::wire::openkv::{Batch as BatchMessage, BatchId};

/// How many closed batches are kept, so that a client that retries to finish a message gets the first result.
const REMEMBERED: usize = 4096;

/// All batches of a server.
pub(crate) struct Batches {
    random: Arc<dyn Random>,
    /// See [`Options::grace`](super::Options::grace).
    grace: Duration,
    known: Mutex<Known>,
    /// How many messages are being handled.
    started: watch::Sender<usize>,
}

#[derive(Default)]
struct Known {
    batches: HashMap<BatchId, Arc<Batch>>,
    /// The batches whose streams have closed, oldest first.
    closed: VecDeque<BatchId>,
}

/// Messages that were claimed together.
struct Batch {
    database: Uuid,
    messages: Mutex<Vec<Message>>,
    /// How many messages are not finished.
    open: watch::Sender<usize>,
}

enum Message {
    Claimed(Delivery),
    /// The client is handling the message.
    Started(Delivery),
    Finished(Finish),
    /// The message was requeued without a delivery.
    Requeued,
}

/// The result of finishing a message.
pub(crate) type Finish = Shared<BoxFuture<()>>;

/// The client has not, or no longer, claimed the message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the message is not claimed by this client, or was requeued: it will be redelivered")]
pub(crate) struct NotClaimed;

impl Batches {
    /// Creates an empty set of batches.
    pub fn new(random: Arc<dyn Random>, grace: Duration) -> Self {
        Self { random, grace, known: Mutex::default(), started: watch::Sender::new(0) }
    }

    /// Adds claimed messages of a database. Returns the batch to send, and the claims to hold while the client is connected.
    pub fn open(self: &Arc<Self>, database: Uuid, mut deliveries: Vec<Delivery>) -> (BatchMessage, Claims) {
        let mut id = [0; 16];
        self.random.fill(&mut id);
        let messages = deliveries.iter_mut().map(|delivery| std::mem::take(&mut delivery.message)).collect();
        let open = watch::Sender::new(deliveries.len());
        let claimed = deliveries.into_iter().map(Message::Claimed).collect();
        let batch = Arc::new(Batch { database, messages: Mutex::new(claimed), open });
        self.known.lock().batches.insert(BatchId(id), batch.clone());
        let claims = Claims { batches: self.clone(), id: BatchId(id), batch };
        (BatchMessage { batch: id.to_vec(), messages }, claims)
    }

    /// Marks a message as being handled.
    ///
    /// # Errors
    /// [`NotClaimed`].
    pub fn start(&self, database: Uuid, id: BatchId, index: u32) -> Result<(), NotClaimed> {
        let batch = self.find(database, id)?;
        let mut messages = batch.messages.lock();
        let message = messages.get_mut(index as usize).ok_or(NotClaimed)?;
        *message = match std::mem::replace(message, Message::Requeued) {
            Message::Claimed(delivery) => self.started(delivery),
            other => other,
        };
        if matches!(message, Message::Started(_)) { Ok(()) } else { Err(NotClaimed) }
    }

    /// Finishes the delivery of a message. Idempotent: later calls return the first result.
    ///
    /// # Errors
    /// [`NotClaimed`].
    pub fn finish(&self, database: Uuid, id: BatchId, index: u32, success: bool) -> Result<Finish, NotClaimed> {
        let batch = self.find(database, id)?;
        let mut messages = batch.messages.lock();
        let message = messages.get_mut(index as usize).ok_or(NotClaimed)?;
        *message = match std::mem::replace(message, Message::Requeued) {
            // The start request was lost, or has yet to arrive.
            Message::Claimed(delivery) => self.started(delivery),
            other => other,
        };
        self.end(&batch, message, success);
        match message {
            Message::Finished(finish) => Ok(finish.clone()),
            _ => Err(NotClaimed),
        }
    }

    fn started(&self, delivery: Delivery) -> Message {
        delivery.start();
        self.started.send_modify(|started| *started += 1);
        Message::Started(delivery)
    }

    /// Finishes the delivery of a message that is being handled.
    fn end(&self, batch: &Batch, message: &mut Message, success: bool) {
        *message = match std::mem::replace(message, Message::Requeued) {
            Message::Started(delivery) => {
                // The delivery finishes even if the future is dropped.
                let finish = if success { delivery.done() } else { delivery.retry() };
                self.started.send_modify(|started| *started -= 1);
                batch.close_one();
                Message::Finished(finish.shared())
            }
            other => other,
        };
    }

    /// Waits until no message is being handled.
    pub async fn wait_idle(&self) {
        // The sender is alive, so this cannot fail.
        let _ = self.started.subscribe().wait_for(|started| *started == 0).await;
    }

    fn find(&self, database: Uuid, id: BatchId) -> Result<Arc<Batch>, NotClaimed> {
        let known = self.known.lock();
        known.batches.get(&id).filter(|batch| batch.database == database).cloned().ok_or(NotClaimed)
    }
}

impl Batch {
    fn close_one(&self) {
        self.open.send_modify(|open| *open -= 1);
    }

    /// Requeues messages that are not being handled.
    fn requeue_unstarted(&self) {
        for message in self.messages.lock().iter_mut().filter(|message| matches!(message, Message::Claimed(_))) {
            *message = Message::Requeued;
            self.close_one();
        }
    }

    async fn wait_closed(&self) {
        // The sender is alive, so this cannot fail.
        let _ = self.open.subscribe().wait_for(|open| *open == 0).await;
    }
}

/// The claims of a batch while its client is connected. Dropping this requeues messages that are not being handled. The others
/// fail unless the client finishes them within [`Options::grace`](super::Options::grace).
pub(crate) struct Claims {
    batches: Arc<Batches>,
    id: BatchId,
    batch: Arc<Batch>,
}

impl Claims {
    /// Waits until all messages are finished or requeued.
    pub async fn wait_closed(&self) {
        self.batch.wait_closed().await;
    }

    /// Requeues messages that are not being handled.
    pub fn requeue_unstarted(&self) {
        self.batch.requeue_unstarted();
    }
}

impl Drop for Claims {
    fn drop(&mut self) {
        self.batch.requeue_unstarted();
        let (batches, id, batch) = (self.batches.clone(), self.id, self.batch.clone());
        let is_closed = *batch.open.borrow() == 0;
        match Handle::try_current() {
            Ok(runtime) if !is_closed => drop(runtime.spawn(async move {
                let _ = tokio::time::timeout(batches.grace, batch.wait_closed()).await;
                batches.retire(id, &batch);
            })),
            _ => batches.retire(id, &batch),
        }
    }
}

impl Batches {
    /// Fails the remaining messages of a batch whose client is gone, and removes the oldest closed batch.
    fn retire(&self, id: BatchId, batch: &Batch) {
        batch.messages.lock().iter_mut().for_each(|message| self.end(batch, message, false));
        let mut known = self.known.lock();
        known.closed.push_back(id);
        if known.closed.len() > REMEMBERED
            && let Some(oldest) = known.closed.pop_front()
        {
            known.batches.remove(&oldest);
        }
    }
}
