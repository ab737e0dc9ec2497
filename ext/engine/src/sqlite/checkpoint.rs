//! The checkpoint merges the log into the file, so that the log can begin anew. SQLite would do that within a commit, and
//! let its caller wait for thousands of pages. Here, a thread does most of it beside the commits that go on; what these
//! added meanwhile is merged between two commits, for only a log that was merged as a whole begins anew.

use std::cell::Cell;
use std::path::PathBuf;
use std::thread::{self, JoinHandle};

use rusqlite::Connection;

use super::connection;
use crate::Result;

/// How long the log grows before it is merged, in pages.
const PAGES: u32 = 1000;

/// How long the log may grow while it is merged, in pages: commits wait then.
const MOST_PAGES: u32 = 8 * PAGES;

const CHECKPOINT: &str = "pragma wal_checkpoint(passive)";

thread_local! {
    /// The length of the log after the last commit of this thread, in pages.
    static LOG: Cell<u32> = const { Cell::new(0) };
}

/// Takes the checkpoints of a connection over from SQLite.
pub(super) fn take_over(connection: &Connection) {
    connection.wal_hook(Some(|_, pages| {
        LOG.set(pages as u32);
        Ok(())
    }));
}

/// The checkpoints of a file. Waits for the one that runs when it is dropped.
pub(super) struct Checkpoints {
    path: PathBuf,
    running: Option<JoinHandle<()>>,
    /// How long the log may grow before the next one, in pages.
    next: u32,
}

impl Checkpoints {
    /// Of the file of this path.
    pub fn new(path: PathBuf) -> Self {
        Self { path, running: None, next: PAGES }
    }

    /// Begins or ends a checkpoint, if it is time to. To be called by the thread that commits, between commits.
    pub fn look(&mut self, connection: &Connection) {
        let pages = LOG.get();
        match &self.running {
            None if pages < PAGES => self.next = PAGES,
            None if pages < self.next => {}
            None => match self.begin() {
                Ok(running) => self.running = Some(running),
                Err(_) => self.end(connection, pages),
            },
            Some(running) if running.is_finished() || pages >= MOST_PAGES => self.end(connection, pages),
            Some(_) => {}
        }
    }

    fn begin(&self) -> std::io::Result<JoinHandle<()>> {
        let path = self.path.clone();
        // A failure comes back with the rest, or is made up for by the next checkpoint.
        let run = move || drop(connection::open_checkpointer(&path).and_then(|connection| merge(&connection)));
        thread::Builder::new().name("openkv-checkpoint".into()).spawn(run)
    }

    fn end(&mut self, connection: &Connection, pages: u32) {
        self.wait();
        // What fails here is made up for by the next one. So is what a reader keeps from being merged: it needs the log.
        let _ = merge(connection);
        self.next = pages + PAGES;
    }

    fn wait(&mut self) {
        if let Some(running) = self.running.take() {
            let _ = running.join();
        }
    }
}

impl Drop for Checkpoints {
    fn drop(&mut self) {
        self.wait();
    }
}

fn merge(connection: &Connection) -> Result<()> {
    Ok(connection.query_row(CHECKPOINT, [], |_| Ok(()))?)
}
