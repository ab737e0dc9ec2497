use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use openkv_engine::{BoxFuture, Claim, Delivery, Error};
use tokio::sync::{mpsc, oneshot};

use super::attempt::{Claimed, Step, StepUnit};
use crate::EtcdError;
use crate::lease::Lease;
use crate::writer::Job;

/// A message in flight.
pub(super) struct InFlight {
    claimed: Claimed,
    /// Keeps the writer running, so that the message can be finished after the database is closed.
    jobs: mpsc::UnboundedSender<Job>,
    /// Renewed until the last message is finished.
    _lease: Arc<Lease>,
    is_started: AtomicBool,
    is_finished: bool,
}

impl InFlight {
    pub fn delivery(claimed: Claimed, jobs: mpsc::UnboundedSender<Job>, lease: Arc<Lease>) -> Delivery {
        let message = claimed.candidate.message.payload.clone();
        let in_flight = Self { claimed, jobs, _lease: lease, is_started: AtomicBool::new(false), is_finished: false };
        Delivery::new(message, in_flight)
    }

    fn step(&self, step: Step, reply: Option<oneshot::Sender<openkv_engine::Result<()>>>) {
        let unit = StepUnit { claimed: self.claimed.clone(), step, is_lost: false, reply };
        // Fails only if the runtime has ended. The message is then redelivered.
        let _ = self.jobs.send(Job::Unit(Box::new(unit)));
    }
}

impl Claim for InFlight {
    fn start(&self) {
        if !self.is_started.swap(true, Ordering::Relaxed) {
            self.step(Step::Start, None);
        }
    }

    fn finish(mut self: Box<Self>, success: bool) -> BoxFuture<()> {
        self.is_finished = true;
        let (reply, result) = oneshot::channel();
        self.step(if success { Step::Done } else { Step::Fail }, Some(reply));
        Box::pin(async move {
            // The lease is held until then.
            let _in_flight = self;
            result.await.map_err(|_| Error::from(EtcdError::Stopped))?
        })
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        if !self.is_finished {
            let step = if *self.is_started.get_mut() { Step::Fail } else { Step::Release };
            self.step(step, None);
        }
    }
}
