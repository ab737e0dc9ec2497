//! Reads that take long: each has a thread and a connection of its own, and reads one snapshot. They end when the database is
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

/// After how many steps of SQLite's virtual machine to look whether the database was closed.
const STEPS: i32 = 4096;

/// The reads of one database.
#[derive(Default)]
pub(crate) struct Background {
    state: Mutex<State>,
    ended: Condvar,
    stop: Arc<AtomicBool>,
}

#[derive(Default)]
struct State {
    is_closed: bool,
    running: usize,
}

/// A read that runs, until it is dropped.
struct Running(Arc<Background>);

impl Background {
    /// Reads a snapshot, and sends the answer.
    pub fn read<T: Send + 'static>(
        self: &Arc<Self>,
        snapshot: FileConnection,
        read: impl FnOnce(&Connection) -> Result<T> + Send + 'static,
        answer: oneshot::Sender<Result<T>>,
    ) {
        // Where the thread cannot be started, there is still someone to tell.
        let answer = Arc::new(Mutex::new(Some(answer)));
        let send = |answer: &Mutex<Option<oneshot::Sender<_>>>, result| {
            if let Some(answer) = answer.lock().take() {
                let _ = answer.send(result);
            }
        };
        let running = match self.begin(&snapshot) {
            Ok(running) => running,
            Err(error) => return send(&answer, Err(error)),
        };
        let from_thread = answer.clone();
        let run = move || {
            let result = read(&snapshot);
            // Whoever closes the database waits for this.
            drop(snapshot);
            drop(running);
            send(
                &from_thread,
                result.map_err(|error| if scan::is_interrupted(&error) { Error::Closed } else { error }),
            );
        };
        if let Err(error) = thread::Builder::new().name("openkv-reader".into()).spawn(run) {
            send(&answer, Err(Error::Thread(Arc::new(error))));
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

    /// Ends the reads that run, and waits until they have closed their connections.
    pub fn close(&self) {
        let mut state = self.state.lock();
        state.is_closed = true;
        self.stop.store(true, Ordering::Relaxed);
        self.ended.wait_while(&mut state, |state| state.running > 0);
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.state.lock().running -= 1;
        self.0.ended.notify_all();
    }
}
