//! Long reads: each has its own thread and connection, and reads one snapshot. They are interrupted when the database is
//! closed, so that none of them keeps the file open.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use parking_lot::{Condvar, Mutex};
use rusqlite::Connection;
use tokio::sync::oneshot;

use crate::sqlite::file::connection::FileConnection;
use crate::sqlite::read::scan;
use crate::{Error, Result};

/// How many steps SQLite's virtual machine takes between two checks whether the database was closed.
const STEPS: i32 = 4096;

/// The long reads of one database.
#[derive(Default)]
pub(crate) struct Background {
    state: Mutex<State>,
    finished: Condvar,
    stop: Arc<AtomicBool>,
}

#[derive(Default)]
struct State {
    is_closed: bool,
    running: usize,
}

/// Counts a read as running until dropped.
struct Running(Arc<Background>);

impl Background {
    /// Reads a snapshot on a new thread, and sends the result.
    pub fn read<T: Send + 'static>(
        self: &Arc<Self>,
        snapshot: FileConnection,
        read: impl FnOnce(&Connection) -> Result<T> + Send + 'static,
        reply: oneshot::Sender<Result<T>>,
    ) {
        // Shared with the thread: if it cannot be started, the error is sent from here.
        let reply = Arc::new(Mutex::new(Some(reply)));
        let send = |reply: &Mutex<Option<oneshot::Sender<_>>>, result| {
            if let Some(reply) = reply.lock().take() {
                let _ = reply.send(result);
            }
        };
        let running = match self.begin(&snapshot) {
            Ok(running) => running,
            Err(error) => return send(&reply, Err(error)),
        };
        let from_thread = reply.clone();
        let run = move || {
            let result = read(&snapshot);
            // Before the result is sent: `close` waits for this.
            drop(snapshot);
            drop(running);
            send(
                &from_thread,
                result.map_err(|error| if scan::is_interrupted(&error) { Error::Closed } else { error }),
            );
        };
        if let Err(error) = thread::Builder::new().name("openkv-reader".into()).spawn(run) {
            send(&reply, Err(Error::Thread(Arc::new(error))));
        }
    }

    fn begin(self: &Arc<Self>, snapshot: &Connection) -> Result<Running> {
        let stop = self.stop.clone();
        snapshot.progress_handler(STEPS, Some(move || stop.load(Ordering::Relaxed)))?;
        let mut state = self.state.lock();
        if state.is_closed {
            return Err(Error::Closed);
        }
        state.running += 1;
        Ok(Running(self.clone()))
    }

    /// Interrupts the running reads, and waits until they have closed their connections.
    pub fn close(&self) {
        let mut state = self.state.lock();
        state.is_closed = true;
        self.stop.store(true, Ordering::Relaxed);
        self.finished.wait_while(&mut state, |state| state.running > 0);
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.state.lock().running -= 1;
        self.0.finished.notify_all();
    }
}
