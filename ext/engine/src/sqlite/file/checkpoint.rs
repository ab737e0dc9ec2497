//! The checkpoint writes the WAL back into the file, so that the WAL can be reset. SQLite would do that within a commit, and
//! let its caller wait for thousands of pages. Here, a thread does most of it beside the commits that go on; what these
//! added meanwhile is merged between two commits, for only a WAL that was merged as a whole is reset.

use std::sync::Arc;
use std::thread::{self, JoinHandle};

use rusqlite::Connection;

use crate::Result;
use crate::sqlite::file::connection;
use crate::sqlite::file::pinned::Pinned;
use crate::sqlite::file::wal;

/// How long the WAL grows before it is checkpointed, in pages.
const PAGES: u32 = 1000;

/// How long the WAL may grow while it is checkpointed, in pages: commits wait then, for the checkpoint and for those that read the WAL.
const MOST_PAGES: u32 = 8 * PAGES;

const CHECKPOINT: &str = "pragma wal_checkpoint(passive)";

/// Waits for those that read the WAL, too: a WAL that is read at any time is never reset. Who begins to read meanwhile
/// needs the file alone.
const CHECKPOINT_AND_WAIT: &str = "pragma wal_checkpoint(restart)";

/// Empties the WAL, once nobody reads it.
const EMPTY: &str = "pragma wal_checkpoint(truncate)";

/// The checkpoints of a file. Waits for the one that runs when it is dropped.
pub(crate) struct Checkpoints {
    file: Arc<Pinned>,
    running: Option<JoinHandle<()>>,
    /// How long the WAL may grow before the next one, in pages.
    next: u32,
    /// How long it was after the last commit, in pages.
    last: u32,
}

impl Checkpoints {
    /// Of a file.
    pub fn new(file: Arc<Pinned>) -> Self {
        Self { file, running: None, next: PAGES, last: 0 }
    }

    /// Begins or ends a checkpoint, if it is time to. To be called by the thread that commits, between commits.
    pub fn poll(&mut self, connection: &Connection) {
        let pages = wal::length();
        if pages < self.last {
            // It was reset.
            self.next = PAGES;
        }
        self.last = pages;
        match &self.running {
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
        let file = self.file.clone();
        // A failure comes back with the rest, or is made up for by the next checkpoint.
        let run =
            move || drop(connection::open_checkpointer(&file).and_then(|connection| merge(&connection, CHECKPOINT)));
        thread::Builder::new().name("openkv-checkpoint".into()).spawn(run)
    }

    fn end(&mut self, connection: &Connection, pages: u32) {
        self.wait();
        // What fails here is made up for by the next one. So is what a reader keeps from being merged: it needs the WAL.
        if pages < MOST_PAGES {
            let _ = merge(connection, CHECKPOINT);
            self.next = MOST_PAGES.min(pages + PAGES);
        } else {
            let _ = connection::wait_briefly(connection, |connection| merge(connection, CHECKPOINT_AND_WAIT));
            // Should someone read for long, commits do not wait for it all the time.
            self.next = pages + MOST_PAGES;
        }
    }

    /// Brings all that is in the WAL into the file, and empties it. A reader that another process has keeps it from that.
    pub fn truncate(&mut self, connection: &Connection) {
        self.wait();
        let _ = connection::wait_briefly(connection, |connection| merge(connection, EMPTY));
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

/// Checkpoints the WAL as a whole. Waits a second or so for those that read from it. Returns whether all was merged.
pub(crate) fn run_completely(connection: &Connection) -> bool {
    let run = |connection: &Connection| {
        let row = |row: &rusqlite::Row<'_>| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?, row.get::<_, i64>(2)?));
        Ok(connection.query_row("pragma wal_checkpoint(full)", [], row)?)
    };
    matches!(connection::wait_briefly(connection, run), Ok((0, pages, merged)) if pages == merged)
}

fn merge(connection: &Connection, statement: &str) -> Result<()> {
    let row = |row: &rusqlite::Row<'_>| Ok((row.get::<_, i64>(1)?, row.get::<_, i64>(2)?));
    let merged = connection.query_row(statement, [], row);
    match &merged {
        Ok((pages, merged)) => tracing::debug!(pages, merged, "checkpointed the WAL"),
        Err(error) => tracing::warn!(%error, "a checkpoint failed: the WAL grows until one succeeds"),
    }
    Ok(merged.map(drop)?)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;
    use crate::sqlite::{self, Location, Options};
    use crate::{AtomicWrite, Key, KeyPart, Mutation, Read, Value};

    /// How many bytes a page of the WAL takes, with its header.
    const PAGE: u64 = 4096 + 24;

    /// Writes three times as much as the WAL may hold, while another thread reads until it is told that all is done. Checks
    /// that the WAL stays bounded.
    fn write_while(read: impl FnOnce(Location, &AtomicBool) + Send) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("kv.sqlite3");
        let location = Location::File { path: path.clone(), follow_links: true };
        let writer = sqlite::open(location.clone(), Options::default()).unwrap();
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
            let reads = scope.spawn(|| read(location, &done));
            let (mut written, mut longest) = (0, 0);
            while written < 3 * u64::from(MOST_PAGES) * PAGE {
                writer.write_blocking(write(written)).unwrap().into_result().unwrap();
                written += 12 * 60_000;
                longest = longest.max(log());
            }
            done.store(true, Ordering::Relaxed);
            reads.join().unwrap();
            (written, longest)
        });
        // A write more may be added before the next checkpoint, and one more while it waits.
        let most = (u64::from(MOST_PAGES) + 1000) * PAGE;
        assert!(longest < most, "of {written} bytes, {longest} stood in the WAL");
    }

    #[test]
    fn the_log_stays_bounded_while_many_large_writes_are_in_flight() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("kv.sqlite3");
        let database = sqlite::open(Location::file(&path), Options::default()).unwrap();
        let set = |i: u64| {
            let key = Key::from_parts(&[KeyPart::from(i as f64)]).unwrap();
            database.write(AtomicWrite::new().mutate(Mutation::set(key, Value::Bytes(vec![1; 65_536]))))
        };
        let writes: Vec<_> = (0..3000).map(set).collect();
        writes.into_iter().for_each(|write| assert!(futures_executor::block_on(write).is_ok()));
        let longest = std::fs::metadata(format!("{}-wal", path.display())).unwrap().len();
        // The group that reaches the bound is written as a whole.
        let most = (u64::from(MOST_PAGES) + 1200) * PAGE;
        assert!(longest < most, "{longest} bytes stood in the WAL");
    }

    #[test]
    fn the_log_stays_bounded_while_entries_are_written_and_read() {
        write_while(|location, done| {
            let reader = sqlite::open(location, Options::default()).unwrap();
            let mut reads = 0;
            while !done.load(Ordering::Relaxed) {
                let range = Read::Range { start: &[], end: &[255], limit: 12, reverse: false, values: true };
                let entries = reader.read_blocking(&[range]).unwrap();
                // Each read sees one write as a whole.
                let first = &entries[0].first().map(|entry| entry.value.clone());
                assert!(entries[0].iter().all(|entry| Some(&entry.value) == first.as_ref()));
                reads += 1;
            }
            assert!(reads > 0);
        });
    }

    #[test]
    fn the_log_stays_bounded_where_someone_reads_at_any_time() {
        write_while(|location, done| {
            let Location::File { path, .. } = location else { unreachable!("a file") };
            let file = Arc::new(Pinned::resolve(&path, true).unwrap());
            let [one, other] = [(); 2].map(|()| connection::open_reader(&file).unwrap());
            let begin = |reader: &Connection| reader.execute_batch("begin; select count(*) from kv").unwrap();
            begin(&one);
            for (now, next) in [(&one, &other), (&other, &one)].into_iter().cycle() {
                begin(next);
                now.execute_batch("commit").unwrap();
                if done.load(Ordering::Relaxed) {
                    break;
                }
            }
        });
    }
}
