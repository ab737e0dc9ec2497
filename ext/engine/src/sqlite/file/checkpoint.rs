//! Checkpoints. A checkpoint writes the WAL back into the file, so that the WAL can be reset. By default, SQLite does this within
//! a commit, whose caller then waits for thousands of pages. Here, a thread does most of it concurrently with commits; the pages
//! that these added meanwhile are checkpointed between two commits, because SQLite resets only a completely checkpointed WAL.

use std::sync::Arc;
use std::thread::{self, JoinHandle};

use rusqlite::Connection;

use crate::Result;
use crate::sqlite::file::connection;
use crate::sqlite::file::pinned::Pinned;
use crate::sqlite::file::snapshots;
use crate::sqlite::file::wal;

/// The length of the WAL at which a checkpoint is started, in pages.
const PAGES: u32 = 1000;

/// The length of the WAL, in pages, from which commits wait for the running checkpoint, and for readers of the WAL.
const MAX_PAGES: u32 = 8 * PAGES;

const CHECKPOINT: &str = "pragma wal_checkpoint(passive)";

/// Also waits for readers of the WAL, which cannot be reset while it is being read. Readers that begin meanwhile read only the
/// file.
const CHECKPOINT_AND_WAIT: &str = "pragma wal_checkpoint(restart)";

/// Also truncates the WAL, after waiting for its readers.
const CHECKPOINT_AND_TRUNCATE: &str = "pragma wal_checkpoint(truncate)";

/// The checkpoints of a file. Waits for a running one on drop.
pub(crate) struct Checkpoints {
    file: Arc<Pinned>,
    running: Option<JoinHandle<()>>,
    /// The length of the WAL at which the next one is started, in pages.
    next: u32,
    /// The length of the WAL after the last commit, in pages.
    last: u32,
}

impl Checkpoints {
    /// Returns the checkpoints of a file.
    pub fn new(file: Arc<Pinned>) -> Self {
        Self { file, running: None, next: PAGES, last: 0 }
    }

    /// Starts or finishes a checkpoint, if it is due. Called by the thread that commits, between commits.
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
                Err(_) => self.finish(connection, pages),
            },
            Some(running) if running.is_finished() || pages >= MAX_PAGES => self.finish(connection, pages),
            Some(_) => {}
        }
    }

    fn begin(&self) -> std::io::Result<JoinHandle<()>> {
        let file = self.file.clone();
        // `finish`, or the next checkpoint, retries what fails here.
        let run = move || {
            drop(connection::open_checkpointer(&file).and_then(|connection| checkpoint(&connection, CHECKPOINT)))
        };
        thread::Builder::new().name("openkv-checkpoint".into()).spawn(run)
    }

    fn finish(&mut self, connection: &Connection, pages: u32) {
        self.wait();
        // The next checkpoint retries what fails here, and writes back the pages that a reader still needs in the WAL.
        if pages < MAX_PAGES {
            let _ = checkpoint(connection, CHECKPOINT);
            self.next = MAX_PAGES.min(pages + PAGES);
        } else {
            let _ = connection::wait_briefly(connection, |connection| checkpoint(connection, CHECKPOINT_AND_WAIT));
            // If a reader runs for a long time, not every commit waits for it.
            self.next = pages + MAX_PAGES;
        }
    }

    /// Checkpoints and truncates the WAL. Fails silently while another process reads the WAL.
    pub fn truncate(&mut self, connection: &Connection) {
        self.wait();
        let _ = connection::wait_briefly(connection, |connection| checkpoint(connection, CHECKPOINT_AND_TRUNCATE));
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

/// Checkpoints the WAL completely. Waits about a second for its readers. Returns whether all pages were written back.
pub(crate) fn run_completely(connection: &Connection) -> bool {
    let run = |connection: &Connection| {
        let _pause = snapshots::pause();
        let row = |row: &rusqlite::Row<'_>| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?, row.get::<_, i64>(2)?));
        Ok(connection.query_row("pragma wal_checkpoint(full)", [], row)?)
    };
    matches!(connection::wait_briefly(connection, run), Ok((0, pages, checkpointed)) if pages == checkpointed)
}

fn checkpoint(connection: &Connection, statement: &str) -> Result<()> {
    let _pause = snapshots::pause();
    let row = |row: &rusqlite::Row<'_>| Ok((row.get::<_, i64>(1)?, row.get::<_, i64>(2)?));
    let result = connection.query_row(statement, [], row);
    match &result {
        Ok((pages, checkpointed)) => tracing::debug!(pages, checkpointed, "checkpointed the WAL"),
        Err(error) => tracing::warn!(%error, "a checkpoint failed: the WAL grows until one succeeds"),
    }
    Ok(result.map(drop)?)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;
    use crate::sqlite::{self, Location, Options};
    use crate::{AtomicWrite, Key, KeyPart, Mutation, Read, Value};

    /// The size of a page of the WAL with its header, in bytes.
    const PAGE: u64 = 4096 + 24;

    /// Writes three times as much as the WAL may hold, while another thread reads until the flag is set. Checks that the WAL
    /// stays bounded.
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
        let wal = || std::fs::metadata(format!("{}-wal", path.display())).unwrap().len();
        let done = AtomicBool::new(false);
        let (written, longest) = thread::scope(|scope| {
            let reads = scope.spawn(|| read(location, &done));
            let (mut written, mut longest) = (0, 0);
            while written < 3 * u64::from(MAX_PAGES) * PAGE {
                writer.write_blocking(write(written)).unwrap().into_result().unwrap();
                written += 12 * 60_000;
                longest = longest.max(wal());
            }
            done.store(true, Ordering::Relaxed);
            reads.join().unwrap();
            (written, longest)
        });
        // One more write may be added before the next checkpoint, and another while it waits.
        let max = (u64::from(MAX_PAGES) + 1000) * PAGE;
        assert!(longest < max, "of {written} bytes written, {longest} were in the WAL");
    }

    #[test]
    fn wal_stays_bounded_while_many_large_writes_are_in_flight() {
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
        let max = (u64::from(MAX_PAGES) + 1200) * PAGE;
        assert!(longest < max, "{longest} bytes were in the WAL");
    }

    #[test]
    fn wal_stays_bounded_while_entries_are_written_and_read() {
        write_while(|location, done| {
            let reader = sqlite::open(location, Options::default()).unwrap();
            let mut reads = 0;
            while !done.load(Ordering::Relaxed) {
                let range = Read::Range { start: &[], end: &[255], limit: 12, reverse: false, values: true };
                let entries = reader.read_blocking(&[range]).unwrap();
                // Each read sees all entries of one write.
                let first = &entries[0].first().map(|entry| entry.value.clone());
                assert!(entries[0].iter().all(|entry| Some(&entry.value) == first.as_ref()));
                reads += 1;
            }
            assert!(reads > 0);
        });
    }

    #[test]
    fn wal_stays_bounded_under_continuous_reads() {
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
