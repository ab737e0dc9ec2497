//! The messages that clients have claimed.

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

/// How many batches that have ended are remembered, so that a client which finishes a message again gets the result of the first
/// time.
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
    /// Those whose streams have ended, the oldest first.
    ended: VecDeque<BatchId>,
}

/// Messages that were claimed together.
struct Batch {
    database: Uuid,
    messages: Mutex<Vec<Message>>,
    /// How many are not finished.
    open: watch::Sender<usize>,
}

enum Message {
    Claimed(Delivery),
    /// It is being handled.
    Started(Delivery),
    Finished(Finish),
    /// It went back to the queue as it was.
    Returned,
}

/// The result of finishing a message.
pub(crate) type Finish = Shared<BoxFuture<()>>;

/// A message is not, or no longer, that of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the message was given back to the queue, or never claimed: it is delivered again")]
pub(crate) struct NotClaimed;

impl Batches {
    /// No batches yet.
    pub fn new(random: Arc<dyn Random>, grace: Duration) -> Self {
        Self { random, grace, known: Mutex::default(), started: watch::Sender::new(0) }
    }

    /// Takes messages that were claimed from a database. Returns what to send, and what to keep as long as the client is there.
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

    /// Notes that a message is handled from now on.
    ///
    /// # Errors
    /// [`NotClaimed`].
    pub fn start(&self, database: Uuid, id: BatchId, index: u32) -> Result<(), NotClaimed> {
        let batch = self.find(database, id)?;
        let mut messages = batch.messages.lock();
        let message = messages.get_mut(index as usize).ok_or(NotClaimed)?;
        *message = match std::mem::replace(message, Message::Returned) {
            Message::Claimed(delivery) => self.started(delivery),
            other => other,
        };
        if matches!(message, Message::Started(_)) { Ok(()) } else { Err(NotClaimed) }
    }

    /// Ends the delivery of a message. A further time changes nothing, and has the result of the first.
    ///
    /// # Errors
    /// [`NotClaimed`].
    pub fn finish(&self, database: Uuid, id: BatchId, index: u32, success: bool) -> Result<Finish, NotClaimed> {
        let batch = self.find(database, id)?;
        let mut messages = batch.messages.lock();
        let message = messages.get_mut(index as usize).ok_or(NotClaimed)?;
        *message = match std::mem::replace(message, Message::Returned) {
            // The request that it was started has not arrived yet, or was lost.
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

    /// Ends the delivery of a message that is being handled.
    fn end(&self, batch: &Batch, message: &mut Message, success: bool) {
        *message = match std::mem::replace(message, Message::Returned) {
            Message::Started(delivery) => {
                // It takes effect though nobody may wait for the future.
                let finish = if success { delivery.done() } else { delivery.retry() };
                self.started.send_modify(|started| *started -= 1);
                batch.close_one();
                Message::Finished(finish.shared())
            }
            other => other,
        };
    }

    /// Waits until no message is being handled.
    pub async fn wait_unstarted(&self) {
        // The sender is here: there is no error.
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

    /// Gives messages that nobody handles back to the queue.
    fn return_unstarted(&self) {
        for message in self.messages.lock().iter_mut().filter(|message| matches!(message, Message::Claimed(_))) {
            *message = Message::Returned;
            self.close_one();
        }
    }

    async fn wait_closed(&self) {
        // The sender is here: there is no error.
        let _ = self.open.subscribe().wait_for(|open| *open == 0).await;
    }
}

/// The claims of a batch, for as long as its client is there. Messages that are not being handled go back to the queue when
/// this is dropped; the others are finished without success unless the client connects again soon.
pub(crate) struct Claims {
    batches: Arc<Batches>,
    id: BatchId,
    batch: Arc<Batch>,
}

impl Claims {
    /// Waits until all messages are finished, or given back.
    pub async fn wait_closed(&self) {
        self.batch.wait_closed().await;
    }

    /// Gives messages that nobody handles back to the queue.
    pub fn return_unstarted(&self) {
        self.batch.return_unstarted();
    }
}

impl Drop for Claims {
    fn drop(&mut self) {
        self.batch.return_unstarted();
        let (batches, id, batch) = (self.batches.clone(), self.id, self.batch.clone());
        let is_closed = *batch.open.borrow() == 0;
        match Handle::try_current() {
            Ok(runtime) if !is_closed => drop(runtime.spawn(async move {
                let _ = tokio::time::timeout(batches.grace, batch.wait_closed()).await;
                batches.forget(id, &batch);
            })),
            _ => batches.forget(id, &batch),
        }
    }
}

impl Batches {
    /// Ends what is left of a batch whose client is gone, and forgets the oldest batches.
    fn forget(&self, id: BatchId, batch: &Batch) {
        batch.messages.lock().iter_mut().for_each(|message| self.end(batch, message, false));
        let mut known = self.known.lock();
        known.ended.push_back(id);
        if known.ended.len() > REMEMBERED
            && let Some(oldest) = known.ended.pop_front()
        {
            known.batches.remove(&oldest);
        }
    }
}
