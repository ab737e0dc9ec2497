//! Who writes to a database. A file has a thread that owns its connection for writes: waiting for the disk, and for other
//! processes, is the thread's work, not the caller's. A database in memory waits for neither, so its writes are done by
//! whoever asks for them. The thread is started by the first work for it.

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
use crate::sqlite::file::lifecycle::{self, Lifecycle, Release};
use crate::sqlite::file::open_file::OpenFile;
use crate::sqlite::options::Options;
use crate::sqlite::write::jobs::{Answer, Claim, Closing, Job, Operation, Reply};
use crate::sqlite::write::watchers::Watchers;
use crate::sqlite::write::worker::Worker;
use crate::{AtomicWrite, BoxFuture, Commit, Error, OwnedRead, ReadEntry, Result};

/// A handle of the thread.
pub(crate) struct Writer {
    jobs: mpsc::UnboundedSender<Job>,
    /// What the thread is started with, until it is.
    unstarted: Mutex<Option<Unstarted>>,
    lifecycle: Arc<Lifecycle>,
    /// For the callers of a database in memory, who do its operations. None for a file.
    memory: Option<Arc<Shared>>,
    file: Option<Arc<OpenFile>>,
    pub watchers: Arc<Watchers>,
}

/// What the thread works with. In memory, callers share it. The connection is locked before the worker.
struct Shared {
    /// Dropped first: a checkpoint that runs ends before the file is closed.
    worker: Mutex<Worker>,
    connection: SharedConnection,
    /// How many operations that callers asked for wait for the thread.
    queued: AtomicUsize,
}

struct Unstarted {
    shared: Arc<Shared>,
    waiting: mpsc::UnboundedReceiver<Job>,
}

impl Writer {
    /// The writer of a file, or of a database in memory, for one database that has it open.
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

    /// Counts another database that has the file open. Returns false where the file is being closed: it must be opened anew.
    pub fn acquire(&self) -> bool {
        self.lifecycle.acquire()
    }

    /// Whether databases can still use it.
    pub fn is_open(&self) -> bool {
        self.lifecycle.is_open()
    }

    /// Whether all databases that used it were closed.
    pub fn is_unused(&self) -> bool {
        self.lifecycle.unused().is_some()
    }

    /// Ends the use by one database. The last one closes the file: what was queued is committed, and the WAL is brought into the
    /// file. Waits for that, unless another process has the file locked: then the thread goes on by itself.
    pub fn release(&self) {
        let Release::Last { unused } = self.lifecycle.release() else { return };
        // The lock is given back first: a write from within a visit in memory takes it, while the connection is locked.
        let unstarted = self.unstarted.lock().take();
        match unstarted {
            // Closes the connection.
            Some(unstarted) => {
                self.lifecycle.end(unused);
                unstarted.shared.end();
                drop(unstarted);
                self.lifecycle.closed();
            }
            None if self.jobs.send(Job::Close(Closing::Finish)).is_ok() && self.file.is_some() => {
                self.lifecycle.wait_settled();
            }
            None => {}
        }
    }

    /// Starts the thread, if it was not yet.
    fn start(&self) -> Result<()> {
        let mut slot = self.unstarted.lock();
        let Some(unstarted) = slot.take() else { return Ok(()) };
        // Where the thread cannot be started, what it was to work with is still there for the next try.
        let unstarted = Arc::new(Mutex::new(Some(unstarted)));
        let thread = Thread { lifecycle: Arc::downgrade(&self.lifecycle), jobs: self.jobs.clone() };
        let started = start(unstarted.clone(), self.lifecycle.clone(), thread);
        if started.is_err() {
            *slot = unstarted.lock().take();
        }
        started.map_err(|error| Error::Thread(Arc::new(error)))
    }

    /// The connection of a database in memory, for its reads.
    pub fn memory(&self) -> Option<SharedConnection> {
        Some(self.memory.as_ref()?.connection.clone())
    }

    /// Opens a connection for reads to the file.
    pub fn open_reader(&self) -> Result<FileConnection> {
        let file = self.file.as_ref().ok_or(Error::Closed)?;
        let reader = connection::open_reader(file.name())?;
        file.verify()?;
        Ok(reader)
    }

    /// Opens a connection as [`Writer::open_reader`] does, where nothing is to be waited for.
    pub fn try_open_reader(&self) -> Result<FileConnection> {
        let file = self.file.as_ref().ok_or(Error::Closed)?;
        let reader = connection::try_open_reader(file.name())?;
        file.verify()?;
        Ok(reader)
    }

    /// The path of the file, for messages. None for a database in memory.
    pub fn path(&self) -> Option<&Path> {
        self.file.as_ref().map(|file| file.name().path())
    }

    /// The file. None for a database in memory.
    #[cfg(test)]
    pub fn file(&self) -> Option<&Arc<OpenFile>> {
        self.file.as_ref()
    }

    /// Checks that the file is still where it was.
    pub fn verify(&self) -> Result<()> {
        self.file.as_ref().map_or(Ok(()), |file| file.verify())
    }

    /// See [`Database::write`](crate::Database::write).
    pub fn write(&self, write: AtomicWrite, in_flight: &Arc<InFlight>) -> BoxFuture<Commit> {
        self.operate(in_flight, |answer| Operation::Write { write, reply: Reply::new(answer), flight: None })
    }

    /// See [`Database::delete_range`](crate::Database::delete_range).
    pub fn delete_range(&self, start: Vec<u8>, end: Vec<u8>, limit: u32, in_flight: &Arc<InFlight>) -> BoxFuture<u64> {
        self.operate(in_flight, |answer| Operation::DeleteRange {
            start,
            end,
            limit,
            reply: Reply::new(answer),
            flight: None,
        })
    }

    /// Reads the id of the database, and stores it where there is none.
    pub fn id(&self, in_flight: &Arc<InFlight>) -> BoxFuture<[u8; 16]> {
        self.operate(in_flight, |answer| Operation::Id { reply: Reply::new(answer) })
    }

    /// Reads after the writes that were queued before, and before those that are queued afterwards.
    pub fn read(
        &self,
        reads: Vec<OwnedRead>,
        max_bytes: usize,
        in_flight: &Arc<InFlight>,
    ) -> BoxFuture<Vec<Vec<ReadEntry>>> {
        self.operate(in_flight, |answer| Operation::Read { reads, max_bytes, reply: Reply::new(answer) })
    }

    /// Runs something on the writer's connection, between the transactions of what was queued before and afterwards.
    pub fn run<T: Send + 'static>(&self, run: impl FnOnce(&Connection) -> Result<T> + Send + 'static) -> BoxFuture<T> {
        let (answer, answered) = oneshot::channel();
        let run = Box::new(move |connection: &Connection| drop(answer.send(run(connection))));
        if let Some(shared) = &self.memory {
            if let Err(error) = self.start() {
                return ready(Err(error));
            }
            shared.queued.fetch_add(1, Ordering::AcqRel);
        }
        self.ask(Some(Job::Run(run)), answered)
    }

    /// Claims messages, as many as there is capacity for.
    pub fn dequeue(&self, capacity: usize) -> BoxFuture<Vec<Claim>> {
        let (answer, answered) = oneshot::channel();
        self.ask(Some(Job::Dequeue { capacity, answer }), answered)
    }

    /// Lets the thread look at what is due, which may be earlier than it was.
    ///
    /// # Errors
    /// [`Error::Thread`] where the thread cannot be started.
    pub fn wake(&self) -> Result<()> {
        self.start()?;
        let _ = self.jobs.send(Job::Wake);
        Ok(())
    }

    fn operate<T: Send + 'static>(
        &self,
        in_flight: &Arc<InFlight>,
        operation: impl FnOnce(Answer<T>) -> Operation,
    ) -> BoxFuture<T> {
        let (answer, answered) = oneshot::channel();
        let mut operation = operation(answer);
        let job = match &self.memory {
            // A write from within a visit of a read would change what the visit borrows. It is left to the thread, and so are
            // those after it, to keep their order.
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
        self.ask(job, answered)
    }

    /// Queues work. The answer is waited for by the future only.
    fn ask<T: Send + 'static>(&self, job: Option<Job>, answered: oneshot::Receiver<Result<T>>) -> BoxFuture<T> {
        let asked = job.map_or(Ok(()), |job| {
            self.start()?;
            self.jobs.send(job).map_err(|_| Error::Closed)
        });
        Box::pin(async move {
            asked?;
            answered.await.map_err(|_| Error::Closed)?
        })
    }
}

impl Shared {
    /// Does an operation on the caller's thread. Returns what that leaves to the thread.
    fn operate(&self, operation: Operation) -> Option<Job> {
        let connection = self.connection.lock();
        let mut worker = self.worker.lock();
        let before = worker.due();
        worker.commit_group(&connection, vec![operation]);
        let is_earlier = worker.due().is_some_and(|due| before.is_none_or(|before| due < before));
        is_earlier.then_some(Job::Wake)
    }

    /// Runs something with the worker and its connection.
    fn with<T>(&self, run: impl FnOnce(&mut Worker, &Connection) -> T) -> T {
        let connection = self.connection.lock();
        run(&mut self.worker.lock(), &connection)
    }

    /// Makes ready to close the connection.
    fn end(&self) {
        self.with(|worker, connection| worker.end(connection));
    }

    /// Does a part of what the thread was asked for, and what is due.
    fn step(&self, jobs: &mut VecDeque<Job>) -> Option<Closing> {
        let operations = |jobs: &VecDeque<Job>| jobs.iter().filter(|job| job.is_called()).count();
        let before = operations(jobs);
        let closing = self.with(|worker, connection| worker.step(connection, jobs));
        self.queued.fetch_sub(before - operations(jobs), Ordering::AcqRel);
        closing
    }

    /// How long to wait for work until there is something to do anyway.
    fn wait(&self) -> Option<Duration> {
        self.worker.lock().due().map(Duration::from_millis)
    }
}

/// Starts the thread.
fn start(unstarted: Arc<Mutex<Option<Unstarted>>>, lifecycle: Arc<Lifecycle>, thread: Thread) -> std::io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
    let run = move || {
        let Some(Unstarted { shared, waiting }) = unstarted.lock().take() else { return };
        // Whoever waits for the file to be closed does so no longer than this thread lives. The connection is closed before.
        let _closed = Closed(&lifecycle);
        lifecycle::watch_locks(lifecycle.clone());
        runtime.block_on(run(&shared, waiting, &lifecycle));
        shared.end();
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

/// Closes the files again that no database uses any more, though handlers still had messages of them. Waits for that, unless another
/// process has one locked.
pub(crate) fn close_again(closing: Closing) {
    let thread = |thread: &Thread| Some((thread.lifecycle.upgrade()?, thread.jobs.clone()));
    let threads: Vec<_> = THREADS.lock().iter().filter_map(thread).collect();
    for (lifecycle, jobs) in threads {
        if lifecycle.close_again() && jobs.send(Job::Close(closing)).is_ok() {
            lifecycle.wait_settled();
        }
    }
}

/// Notes that a file is closed, when it is dropped.
struct Closed<'a>(&'a Lifecycle);

impl Drop for Closed<'_> {
    fn drop(&mut self) {
        self.0.closed();
    }
}

/// Works until the file is closed.
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
            // The worker has a sender of its own, so that there is always one.
            jobs.extend(received);
        }
        while let Ok(job) = waiting.try_recv() {
            jobs.push_back(job);
        }
        closing = shared.step(&mut jobs).or(closing);
        lifecycle.unlocked();
        let Some(how) = closing else { continue };
        let Some(unused) = lifecycle.unused() else {
            // Someone opened it again.
            closing = None;
            lifecycle.settle();
            continue;
        };
        if jobs.is_empty() && waiting.is_empty() {
            shared.with(|worker, connection| worker.close(connection, how));
            let is_handling = shared.worker.lock().is_handling();
            if is_handling || how == Closing::Abandon {
                // Handlers may still finish their messages, or a connection is open in what ended the process. Whoever copies
                // the file meanwhile finds all in it.
                shared.with(Worker::checkpoint);
                lifecycle.unlocked();
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
    fn a_write_from_within_a_read_in_memory_waits_for_its_end_and_keeps_its_turn() {
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
