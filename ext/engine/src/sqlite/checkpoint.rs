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

/// How long the log may grow while it is merged, in pages: commits wait then, for the checkpoint and for readers.
const MOST_PAGES: u32 = 8 * PAGES;

/// Merges what no reader needs to find in the log.
const CHECKPOINT: &str = "pragma wal_checkpoint(passive)";

/// Merges all of the log, and waits for the readers that look into it: a log that is always read would never begin anew.
const RESTART: &str = "pragma wal_checkpoint(restart)";

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
        let run =
            move || drop(connection::open_checkpointer(&path).and_then(|connection| merge(&connection, CHECKPOINT)));
        thread::Builder::new().name("openkv-checkpoint".into()).spawn(run)
    }

    fn end(&mut self, connection: &Connection, pages: u32) {
        self.wait();
        // What fails here is made up for by the next one. So is what a reader keeps from being merged for long.
        let _ = match pages < MOST_PAGES {
            true => merge(connection, CHECKPOINT),
            false => connection::waiting_briefly(connection, || merge(connection, RESTART)),
        };
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

fn merge(connection: &Connection, checkpoint: &str) -> Result<()> {
    Ok(connection.query_row(checkpoint, [], |_| Ok(()))?)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;
    use crate::sqlite::{Location, Options, Sqlite};
    use crate::{AtomicWrite, Key, KeyPart, Mutation, Read, Value};

    /// How many bytes a page of the log takes, with its header.
    const PAGE: u64 = 4096 + 24;

    #[test]
    fn the_log_stays_bounded_while_entries_are_written_and_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("kv.sqlite3");
        let location = Location::File { path: path.clone(), follow_links: true };
        let open = || Sqlite::open(location.clone(), Options::default()).unwrap();
        let (writer, reader) = (open(), open());

        let write = |i: u64| {
            let set = |j: u64| {
                let key = Key::from_parts(&[KeyPart::from("a"), KeyPart::from(j as f64)]).unwrap();
                Mutation::set(key, Value::Bytes(vec![i as u8; 60_000]))
            };
            AtomicWrite { mutations: (0..12).map(set).collect(), ..AtomicWrite::new() }
        };
        let log = || std::fs::metadata(format!("{}-wal", path.display())).unwrap().len();
        let done = AtomicBool::new(false);
        let (written, longest) = thread::scope(|scope| {
            let reads = scope.spawn(|| {
                let mut reads = 0;
                while !done.load(Ordering::Relaxed) {
                    let range = Read::Range { start: &[], end: &[255], limit: 12, reverse: false, values: true };
                    let entries = reader.read_entries(&[range]).unwrap();
                    // Each read sees one write as a whole.
                    let first = &entries[0].first().map(|entry| entry.value.clone());
                    assert!(entries[0].iter().all(|entry| Some(&entry.value) == first.as_ref()));
                    reads += 1;
                }
                reads
            });
            let (mut written, mut longest) = (0, 0);
            // Twice as much as the log may hold.
            while written < 2 * u64::from(MOST_PAGES) * PAGE {
                writer.write_blocking(write(written)).unwrap();
                written += 12 * 60_000;
                longest = longest.max(log());
            }
            done.store(true, Ordering::Relaxed);
            assert!(reads.join().unwrap() > 0);
            (written, longest)
        });
        // A write more may be added before the next checkpoint, and one more while it waits.
        let most = (u64::from(MOST_PAGES) + 1000) * PAGE;
        assert!(longest < most, "of {written} bytes, {longest} stood in the log");
    }
}
