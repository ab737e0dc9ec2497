use std::convert::Infallible;
use std::pin::pin;
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use deno_core::futures::future::{Either, select};
use deno_error::JsErrorBox;
use tokio::sync::watch;

use super::thread;
use crate::extensions::interrupt::{INTERVAL, Interrupter, MAX_INTERVAL};

/// Lets a parent terminate the thread of its worker.
pub(crate) struct Link {
    terminated: watch::Sender<bool>,
    /// Interrupts the worker, once its runtime exists.
    interrupter: Mutex<Option<Interrupter>>,
    /// The system's id of the worker's thread, once it runs.
    thread: AtomicI32,
}

impl Link {
    pub fn new() -> Self {
        Self { terminated: watch::Sender::new(false), interrupter: Mutex::default(), thread: AtomicI32::new(0) }
    }

    /// Sets what interrupts the JavaScript of the worker. Must be called on its thread.
    pub fn attach(&self, interrupter: Interrupter) {
        *self.interrupter() = Some(interrupter);
        self.thread.store(thread::id(), Ordering::Relaxed);
    }

    /// Notes that the worker has ended.
    pub fn detach(&self) {
        *self.interrupter() = None;
        self.thread.store(0, Ordering::Relaxed);
    }

    /// Makes the worker end when it next returns to its event loop. Interrupts its JavaScript, unless an extension is being
    /// loaded: then the caller must try again.
    pub fn terminate(&self) {
        self.terminated.send_replace(true);
        if let Some(interrupter) = &*self.interrupter() {
            interrupter.interrupt();
        }
    }

    /// Ends the worker like `terminate`, but from its own JavaScript, which does not continue after the call.
    pub fn close(&self) {
        self.terminated.send_replace(true);
        if let Some(interrupter) = &*self.interrupter() {
            interrupter.terminate();
        }
    }

    pub fn is_terminated(&self) -> bool {
        *self.terminated.borrow()
    }

    /// Waits until the worker is terminated.
    pub async fn terminated(&self) {
        // The sender outlives this call.
        let _ = self.terminated.subscribe().wait_for(|terminated| *terminated).await;
    }

    /// Waits for the end of the worker. Once it is terminated, interrupts it until it ends.
    pub async fn interrupt_until<T>(&self, end: impl Future<Output = T>) -> T {
        match select(pin!(end), pin!(self.interrupt())).await {
            Either::Left((end, _)) => end,
            Either::Right((never, _)) => match never {},
        }
    }

    async fn interrupt(&self) -> Infallible {
        self.terminated().await;
        let mut interval = INTERVAL;
        loop {
            tokio::time::sleep(interval).await;
            self.terminate();
            interval = MAX_INTERVAL.min(2 * interval);
        }
    }

    /// Returns the user and system CPU time of the worker's thread, in microseconds: 0 unless it is running.
    pub fn cpu_usage(&self) -> Result<[f64; 2], JsErrorBox> {
        match self.thread.load(Ordering::Relaxed) {
            0 => Ok([0.0; 2]),
            id => thread::cpu_usage(id),
        }
    }

    fn interrupter(&self) -> MutexGuard<'_, Option<Interrupter>> {
        // The value remains valid if a thread panics while it holds the lock.
        self.interrupter.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
