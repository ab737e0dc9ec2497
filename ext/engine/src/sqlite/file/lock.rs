//! Waiting for a lock that another process holds, and passing it on.
//!
//! SQLite does not wait for a lock, but calls a handler between its attempts. Processes that try again every millisecond leave the
//! lock unused between the attempts, and take CPU time from the one that holds it. On Linux, those of this engine wait in queues of the
//! kernel instead, on words of the [`WalIndex`], from where a commit wakes them. Nothing is written to the index. The one that is
//! woken may find the lock taken again: it is the next then, and is woken before those in the queue. A process that is not woken,
//! because another program released the lock or a process was killed, tries again after a while.

use std::cell::{Cell, RefCell};
use std::marker::PhantomData;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use crate::sqlite::file::lifecycle::Lifecycle;
use crate::sqlite::file::wal_index::{Waiting, WalIndex};

/// The interval between attempts to acquire a lock. A commit holds it for about as long as a disk sync; SQLite's own busy handler
/// sleeps up to 100 ms at a time, which starves a process among many.
const INTERVAL: Duration = Duration::from_millis(1);

/// The interval between attempts of processes in the queue. Other systems have no queue.
const QUEUE_INTERVAL: Duration = if cfg!(target_os = "linux") { Duration::from_millis(5) } else { INTERVAL };

/// How long a lock is waited for.
const TIMEOUT: Duration = Duration::from_secs(60);

/// How long a lock that is not essential is waited for.
const BRIEF_TIMEOUT: Duration = Duration::from_secs(1);

/// The wait after which waiting for a lock is logged.
const LOGGED: Duration = Duration::from_secs(1);

/// The wait after which `close()` no longer waits for a lock that another process holds. A commit holds it for a few milliseconds.
const LONG: Duration = Duration::from_millis(50);

thread_local! {
    /// How long this thread has waited between the current attempts.
    static WAITED: Cell<Duration> = const { Cell::new(Duration::ZERO) };

    /// The file of this thread, if it is that of a writer.
    static FILE: RefCell<Option<File>> = const { RefCell::new(None) };
}

/// The file of a writer's thread.
struct File {
    lifecycle: Arc<Lifecycle>,
    /// Whether the lifecycle records a long wait.
    is_long: Cell<bool>,
    /// `None` for a file without a WAL, and for a database in memory.
    index: Option<WalIndex>,
    /// Whether the thread was woken from the queue, but has not acquired the lock yet.
    is_next: Cell<bool>,
}

/// Makes waits of this thread those for the locks of a file, until the result is dropped.
///
/// # Safety
/// The connection of the index must stay open until then, and the result must be dropped.
pub(crate) unsafe fn watch(lifecycle: Arc<Lifecycle>, index: Option<WalIndex>) -> Watch {
    FILE.set(Some(File { lifecycle, is_long: Cell::default(), index, is_next: Cell::default() }));
    Watch(PhantomData)
}

/// The effect of [`watch`] on this thread.
pub(crate) struct Watch(PhantomData<*const ()>);

impl Drop for Watch {
    fn drop(&mut self) {
        FILE.set(None);
    }
}

/// Waits before the next attempt to acquire a lock: a busy handler of SQLite. Returns false after a minute.
pub(crate) fn wait(attempts: i32) -> bool {
    wait_up_to(TIMEOUT, attempts)
}

/// Waits like [`wait`], but for at most about a second.
pub(crate) fn wait_briefly(attempts: i32) -> bool {
    wait_up_to(BRIEF_TIMEOUT, attempts)
}

fn wait_up_to(timeout: Duration, attempts: i32) -> bool {
    let before = if attempts == 0 { Duration::ZERO } else { WAITED.get() };
    let now = Instant::now();
    FILE.with_borrow(|file| match file {
        Some(file) => file.wait(attempts),
        None => thread::sleep(INTERVAL),
    });
    let waited = before + now.elapsed();
    WAITED.set(waited);
    let exceeds = |limit| before < limit && waited >= limit;
    if exceeds(LONG) {
        FILE.with_borrow(|file| file.iter().for_each(|file| file.record(true)));
    }
    if exceeds(LOGGED) {
        tracing::warn!(attempts, "waiting for a lock that another process holds");
    }
    waited < timeout
}

/// Wakes the next of the waiting processes, after this thread has released the lock of its file.
pub(crate) fn released() {
    FILE.with_borrow(|file| file.iter().for_each(File::pass_on));
}

/// Records that this thread no longer waits for a lock.
pub(crate) fn unlocked() {
    FILE.with_borrow(|file| file.iter().for_each(|file| file.record(false)));
}

impl File {
    fn wait(&self, attempts: i32) {
        let Some(index) = &self.index else { return thread::sleep(INTERVAL) };
        if attempts > 0 && self.is_next.get() {
            index.wait(Waiting::Next, INTERVAL);
        } else {
            // One that tries again by itself stays in the queue: otherwise, all would leave it while a commit takes longer.
            self.is_next.set(index.wait(Waiting::InQueue, QUEUE_INTERVAL));
        }
    }

    fn pass_on(&self) {
        if let Some(index) = &self.index
            && !index.wake(Waiting::Next)
        {
            index.wake(Waiting::InQueue);
        }
    }

    fn record(&self, is_long: bool) {
        if self.is_long.replace(is_long) != is_long {
            self.lifecycle.set_locked(is_long);
        }
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::sync::atomic::{AtomicI32, Ordering};

    use rusqlite::Connection;

    use super::*;

    #[test]
    fn thread_stays_in_the_queue_until_it_is_woken() {
        let directory = tempfile::tempdir().unwrap();
        let connection = Connection::open(directory.path().join("kv.sqlite3")).unwrap();
        connection.execute_batch("pragma journal_mode = wal; create table entry (value)").unwrap();
        // SAFETY: the connection is closed last.
        let [waiting, index] = [(); 2].map(|()| unsafe { WalIndex::of(&connection) }.unwrap());
        let attempts = AtomicI32::new(0);
        let file = thread::scope(|scope| {
            let waits = scope.spawn(|| {
                let file = File {
                    lifecycle: Arc::default(),
                    is_long: Cell::default(),
                    index: Some(waiting),
                    is_next: Cell::default(),
                };
                while !file.is_next.get() {
                    file.wait(attempts.fetch_add(1, Ordering::Relaxed));
                }
                file
            });
            while attempts.load(Ordering::Relaxed) < 3 {
                assert!(!index.wake(Waiting::Next), "it was not woken from the queue");
            }
            while !index.wake(Waiting::InQueue) {}
            waits.join().unwrap()
        });
        file.wait(attempts.into_inner());
        assert!(file.is_next.get(), "until it acquires the lock");
        file.wait(0);
        assert!(!file.is_next.get(), "it acquired the lock, and waits for it again");
    }
}
