//! The writer of a database. For a file, a thread owns the write connection: waiting for the disk, and for other processes,
//! does not block the caller. A database in memory waits for neither, so callers run its writes themselves. The thread is
//! started with its first job.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::thread;
use std::time::Duration;

use parking_lot::{Mutex, ReentrantMutex};
use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};

use crate::future::ready;
use crate::in_flight::InFlight;
use crate::sqlite::file::connection::FileConnection;
use crate::sqlite::file::connection::{self, SharedConnection};
use crate::sqlite::file::lifecycle::{Lifecycle, Release};
use crate::sqlite::file::lock;
use crate::sqlite::file::open_file::OpenFile;
use crate::sqlite::file::wal_index::WalIndex;
use crate::sqlite::options::Options;
use crate::sqlite::write::jobs::{Claim, Closing, Job, Operation, Reply, ReplySender};
use crate::sqlite::write::watchers::Watchers;
use crate::sqlite::write::worker::Worker;
use crate::{AtomicWrite, BoxFuture, Commit, Error, OwnedRead, ReadEntry, Result};

/// A handle of the thread.
pub(crate) struct Writer {
    jobs: mpsc::UnboundedSender<Job>,
    /// The state for the thread, until it is started.
    unstarted: Mutex<Option<Unstarted>>,
    lifecycle: Arc<Lifecycle>,
    /// For the callers of a database in memory, who run its operations. `None` for a file.
    memory: Option<Arc<Shared>>,
    file: Option<Arc<OpenFile>>,
    pub watchers: Arc<Watchers>,
}

/// The state of the thread. In memory, callers share it. The connection is locked before the worker.
struct Shared {
    /// Dropped first: this waits for a running checkpoint before the file is closed.
    worker: Mutex<Worker>,
    connection: SharedConnection,
    /// In memory, how many operations of callers are queued for the thread.
    queued: AtomicUsize,
}

struct Unstarted {
    shared: Arc<Shared>,
    waiting: mpsc::UnboundedReceiver<Job>,
}

impl Writer {
    /// Returns the writer of a file, or of a database in memory, with one user.
    pub fn new(connection: FileConnection, options: &Options, file: Option<Arc<OpenFile>>) -> Self {
        let watchers = Arc::new(Watchers::default());
        let (jobs, waiting) = mpsc::unbounded_channel();
        let worker = Worker::new(&connection, watchers.clone(), options, file.clone(), jobs.clone());
        let connection = Arc::new(ReentrantMutex::new(connection));
        let shared = Arc::new(Shared { worker: Mutex::new(worker), connection, queued: AtomicUsize::new(0) });
        Self {
            jobs,
            memory: file.is_none().then(|| shared.clone()),
            unstarted: Mutex::new(Some(Unstarted { shared, waiting })),
            lifecycle: Arc::default(),
            file,
            watchers,
        }
    }

    /// Adds a user: another database that opens the file. Returns false if the file is being closed and must be opened again.
    pub fn acquire(&self) -> bool {
        self.lifecycle.acquire()
    }

    /// Returns whether databases can still use it.
    pub fn is_open(&self) -> bool {
        self.lifecycle.is_open()
    }

    /// Returns whether all databases that used it were closed.
    pub fn is_unused(&self) -> bool {
        self.lifecycle.unused().is_some()
    }

    /// Removes a user. The last one closes the file: queued operations are committed, and the WAL is checkpointed. Waits until this
    /// is done, unless another process has locked the file: then the thread continues on its own.
    pub fn release(&self) {
        let Release::Last { unused } = self.lifecycle.release() else { return };
        // The lock is released here: a write from within a visit in memory takes it while the connection is locked.
        let unstarted = self.unstarted.lock().take();
        match unstarted {
            Some(unstarted) => {
                self.lifecycle.end(unused);
                unstarted.shared.end();
                // Closes the connection.
                drop(unstarted);
                self.lifecycle.closed();
            }
            None if self.jobs.send(Job::Close(Closing::Finish)).is_ok() && self.file.is_some() => {
                self.lifecycle.wait_settled();
            }
            None => {}
        }
    }

    /// Starts the thread, unless it was started before.
    fn start(&self) -> Result<()> {
        let mut slot = self.unstarted.lock();
        let Some(unstarted) = slot.take() else { return Ok(()) };
        // If the thread cannot be started, its state is put back for the next try.
        let unstarted = Arc::new(Mutex::new(Some(unstarted)));
        let thread = Thread { lifecycle: Arc::downgrade(&self.lifecycle), jobs: self.jobs.clone() };
        let started = start(unstarted.clone(), self.lifecycle.clone(), thread);
        if started.is_err() {
            *slot = unstarted.lock().take();
        }
        started.map_err(|error| Error::Thread(Arc::new(error)))
    }

    /// Returns the connection of a database in memory, for reads.
    pub fn memory(&self) -> Option<SharedConnection> {
        Some(self.memory.as_ref()?.connection.clone())
    }

    /// Opens a read connection to the file.
    pub fn open_reader(&self) -> Result<FileConnection> {
        let file = self.file.as_ref().ok_or(Error::Closed)?;
        let reader = connection::open_reader(file.name())?;
        file.verify()?;
        Ok(reader)
    }

    /// Opens a connection like [`Writer::open_reader`], but fails instead of waiting for a lock.
    pub fn try_open_reader(&self) -> Result<FileConnection> {
        let file = self.file.as_ref().ok_or(Error::Closed)?;
        let reader = connection::try_open_reader(file.name())?;
        file.verify()?;
        Ok(reader)
    }

    /// Returns the path of the file, for messages, or `None` for a database in memory.
    pub fn path(&self) -> Option<&Path> {
        self.file.as_ref().map(|file| file.name().path())
    }

    /// Returns the file, or `None` for a database in memory.
    #[cfg(test)]
    pub fn file(&self) -> Option<&Arc<OpenFile>> {
        self.file.as_ref()
    }

    /// Checks that the file was not moved or replaced.
    pub fn verify(&self) -> Result<()> {
        self.file.as_ref().map_or(Ok(()), |file| file.verify())
    }

    /// See [`Database::write`](crate::Database::write).
    pub fn write(&self, write: AtomicWrite, in_flight: &Arc<InFlight>) -> BoxFuture<Commit> {
        self.operate(in_flight, |reply| Operation::Write { write, reply: Reply::new(reply), flight: None })
    }

    /// See [`Database::delete_range`](crate::Database::delete_range).
    pub fn delete_range(&self, start: Vec<u8>, end: Vec<u8>, limit: u32, in_flight: &Arc<InFlight>) -> BoxFuture<u64> {
        self.operate(in_flight, |reply| Operation::DeleteRange {
            start,
            end,
            limit,
            reply: Reply::new(reply),
            flight: None,
        })
    }

    /// Reads the id of the database, and stores one if there is none.
    pub fn id(&self, in_flight: &Arc<InFlight>) -> BoxFuture<[u8; 16]> {
        self.operate(in_flight, |reply| Operation::Id { reply: Reply::new(reply) })
    }

    /// Makes later versions greater than this one.
    pub fn raise_version(&self, version: i64, in_flight: &Arc<InFlight>) -> BoxFuture<()> {
        self.operate(in_flight, |reply| Operation::RaiseVersion { version, reply: Reply::new(reply) })
    }

    /// Reads entries in the order of the queued writes.
    pub fn read(
        &self,
        reads: Vec<OwnedRead>,
        max_bytes: usize,
        in_flight: &Arc<InFlight>,
    ) -> BoxFuture<Vec<Vec<ReadEntry>>> {
        self.operate(in_flight, |reply| Operation::Read { reads, max_bytes, reply: Reply::new(reply) })
    }

    /// Runs a function on the writer's connection, between the transactions of the jobs before and after it.
    pub fn run<T: Send + 'static>(&self, run: impl FnOnce(&Connection) -> Result<T> + Send + 'static) -> BoxFuture<T> {
        let (reply, result) = oneshot::channel();
        let run = Box::new(move |connection: &Connection| drop(reply.send(run(connection))));
        if let Some(shared) = &self.memory {
            if let Err(error) = self.start() {
                return ready(Err(error));
            }
            shared.queued.fetch_add(1, Ordering::AcqRel);
        }
        self.submit(Some(Job::Run(run)), result)
    }

    /// Claims up to `capacity` messages.
    pub fn dequeue(&self, capacity: usize) -> BoxFuture<Vec<Claim>> {
        let (reply, claims) = oneshot::channel();
        self.submit(Some(Job::Dequeue { capacity, reply }), claims)
    }

    /// Wakes the thread, because the next due time may be earlier than before.
    ///
    /// # Errors
    /// [`Error::Thread`] if the thread cannot be started.
    pub fn wake(&self) -> Result<()> {
        self.start()?;
        let _ = self.jobs.send(Job::Wake);
        Ok(())
    }

    fn operate<T: Send + 'static>(
        &self,
        in_flight: &Arc<InFlight>,
        operation: impl FnOnce(ReplySender<T>) -> Operation,
    ) -> BoxFuture<T> {
        let (reply, result) = oneshot::channel();
        let mut operation = operation(reply);
        let job = match &self.memory {
            // A write from within a visit would change entries that the visit borrows. It is queued for the thread, and so are
            // the operations after it, to keep their order.
            Some(shared)
                if !shared.connection.is_owned_by_current_thread() && shared.queued.load(Ordering::Acquire) == 0 =>
            {
                shared.operate(operation)
            }
            memory => {
                if let Some(shared) = memory {
                    if let Err(error) = self.start() {
                        return ready(Err(error));
                    }
                    shared.queued.fetch_add(1, Ordering::AcqRel);
                }
                operation.queue(in_flight);
                Some(Job::Do(operation))
            }
        };
        self.submit(job, result)
    }

    /// Sends a job to the thread, immediately. The future waits for the result.
    fn submit<T: Send + 'static>(&self, job: Option<Job>, result: oneshot::Receiver<Result<T>>) -> BoxFuture<T> {
        let sent = job.map_or(Ok(()), |job| {
            self.start()?;
            self.jobs.send(job).map_err(|_| Error::Closed)
        });
        Box::pin(async move {
            sent?;
            result.await.map_err(|_| Error::Closed)?
        })
    }
}

impl Shared {
    /// Runs an operation on the caller's thread. Returns a job if the thread must be woken.
    fn operate(&self, operation: Operation) -> Option<Job> {
        let connection = self.connection.lock();
        let mut worker = self.worker.lock();
        let before = worker.due();
        worker.commit_group(&connection, vec![operation]);
        let is_earlier = worker.due().is_some_and(|due| before.is_none_or(|before| due < before));
        is_earlier.then_some(Job::Wake)
    }

    /// Runs a function with the worker and its connection.
    fn with<T>(&self, run: impl FnOnce(&mut Worker, &Connection) -> T) -> T {
        let connection = self.connection.lock();
        run(&mut self.worker.lock(), &connection)
    }

    /// Prepares to close the connection.
    fn end(&self) {
        self.with(|worker, connection| worker.end(connection));
    }

    /// Runs some of the jobs, and everything that is due.
    fn step(&self, jobs: &mut VecDeque<Job>) -> Option<Closing> {
        let operations = |jobs: &VecDeque<Job>| jobs.iter().filter(|job| job.is_called()).count();
        let before = operations(jobs);
        let closing = self.with(|worker, connection| worker.step(connection, jobs));
        self.queued.fetch_sub(before - operations(jobs), Ordering::AcqRel);
        closing
    }

    /// Returns how long to wait for jobs, or `None` if nothing is due without one.
    fn wait(&self) -> Option<Duration> {
        self.worker.lock().due().map(Duration::from_millis)
    }
}

/// Starts the thread.
fn start(unstarted: Arc<Mutex<Option<Unstarted>>>, lifecycle: Arc<Lifecycle>, thread: Thread) -> std::io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
    let run = move || {
        let Some(Unstarted { shared, waiting }) = unstarted.lock().take() else { return };
        // Also runs if this thread panics: `close` must not wait forever. Otherwise, the connection is closed first.
        let _closed = Closed(&lifecycle);
        // SAFETY: it is dropped before the connection is closed, also if this thread panics.
        let watch = shared.with(|_, connection| unsafe { lock::watch(lifecycle.clone(), WalIndex::of(connection)) });
        runtime.block_on(run(&shared, waiting, &lifecycle));
        shared.end();
        drop(watch);
        drop(shared);
    };
    thread::Builder::new().name("openkv-writer".into()).spawn(run)?;
    let mut threads = THREADS.lock();
    threads.retain(|thread| thread.lifecycle.strong_count() > 0);
    threads.push(thread);
    Ok(())
}

/// The threads that were started, for [`close_again`].
static THREADS: Mutex<Vec<Thread>> = Mutex::new(Vec::new());

struct Thread {
    lifecycle: Weak<Lifecycle>,
    jobs: mpsc::UnboundedSender<Job>,
}

/// Closes the files that are no longer used by any database, but were kept open for running handlers. Waits until this is done,
/// unless another process has locked a file.
pub(crate) fn close_again(closing: Closing) {
    let thread = |thread: &Thread| Some((thread.lifecycle.upgrade()?, thread.jobs.clone()));
    let threads: Vec<_> = THREADS.lock().iter().filter_map(thread).collect();
    for (lifecycle, jobs) in threads {
        if lifecycle.close_again() && jobs.send(Job::Close(closing)).is_ok() {
            lifecycle.wait_settled();
        }
    }
}

/// Records on drop that a file is closed.
struct Closed<'a>(&'a Lifecycle);

impl Drop for Closed<'_> {
    fn drop(&mut self) {
        self.0.closed();
    }
}

/// Runs the worker until the file is closed.
async fn run(shared: &Shared, mut waiting: mpsc::UnboundedReceiver<Job>, lifecycle: &Lifecycle) {
    shared.with(Worker::begin);
    let mut jobs = VecDeque::new();
    let mut closing = None;
    loop {
        if jobs.is_empty() {
            let received = match shared.wait() {
                None => waiting.recv().await,
                Some(wait) => tokio::time::timeout(wait, waiting.recv()).await.unwrap_or(Some(Job::Wake)),
            };
            // Never `None`: the worker holds a sender.
            jobs.extend(received);
        }
        while let Ok(job) = waiting.try_recv() {
            jobs.push_back(job);
        }
        closing = shared.step(&mut jobs).or(closing);
        lock::unlocked();
        let Some(how) = closing else { continue };
        let Some(unused) = lifecycle.unused() else {
            // The file was opened again.
            closing = None;
            lifecycle.settle();
            continue;
        };
        if jobs.is_empty() && waiting.is_empty() {
            shared.with(|worker, connection| worker.close(connection, how));
            let is_handling = shared.worker.lock().is_handling();
            if is_handling || how == Closing::Abandon {
                // The connection stays open: handlers may still finish their messages, or the process is exiting. The file is
                // complete nevertheless, and can be copied.
                shared.with(Worker::checkpoint);
                lock::unlocked();
            }
            if is_handling {
                lifecycle.settle();
            } else if lifecycle.end(unused) {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::ops::ControlFlow;

    use futures_executor::block_on;

    use crate::sqlite::{self, Location, Options};
    use crate::{AtomicWrite, Key, KeyPart, Mutation, Read, ReadOptions, Value, ValueRef};

    #[test]
    fn write_within_a_visit_in_memory_is_deferred_in_order() {
        let database = sqlite::open(Location::Memory, Options::default()).unwrap();
        let key = Key::from_parts(&[KeyPart::from("a")]).unwrap();
        let set = |value| AtomicWrite::new().mutate(Mutation::set(key.clone(), Value::U64(value)));
        database.write_blocking(set(1)).unwrap().into_result().unwrap();

        let mut pending = Vec::new();
        let mut read_in_order = None;
        let local = database.local().unwrap();
        let read = database.visit_blocking(&[Read::Key(&key)], &mut |_, entry| {
            pending.push(database.write(set(2)));
            let again = local.try_read(&[Read::Key(&key)], &mut |_, _| ControlFlow::Continue(()));
            assert!(!again.unwrap());
            read_in_order = Some(local.read_later(&[Read::Key(&key)], ReadOptions::default()));
            assert_eq!(entry.value, Some(ValueRef::U64(1)));
            ControlFlow::Continue(())
        });
        read.unwrap();
        pending.push(database.write(set(3)));

        let versions = pending.into_iter().map(|write| block_on(write).unwrap().versionstamp().unwrap());
        assert!(versions.collect::<Vec<_>>().is_sorted());
        let between = block_on(read_in_order.unwrap()).unwrap();
        assert_eq!(between[0][0].value, Some(Value::U64(2)));
        let entries = database.read_blocking(&[Read::Key(&key)]).unwrap();
        assert_eq!(entries[0][0].value, Some(Value::U64(3)));
    }
}
