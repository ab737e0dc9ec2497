//! Who writes to a database. A file has a thread that owns its connection for writes: waiting for the disk, and for other
//! processes, is the thread's work, not the caller's. A database in memory waits for neither, so its writes are done by
//! whoever asks for them. The thread is started by the first work for it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use std::{fs, thread};

use parking_lot::{Condvar, Mutex, ReentrantMutex};
use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};

use super::connection::FileConnection;
use super::open_files::OpenFile;
use super::queue::Taken;
use super::watchers::Watchers;
use super::worker::{Answer, Job, Operation, Reply, Worker};
use super::{Options, SharedConnection, connection};
use crate::{AtomicWrite, Commit, Error, Result};

/// How much work may wait. Callers of more wait for room.
const QUEUE: usize = 1024;

/// How many threads are about to end, because their databases were closed.
static CLOSING: (Mutex<usize>, Condvar) = (Mutex::new(0), Condvar::new());

/// Waits until the databases that were closed have been left by their threads, which merge the log into the file, but no
/// longer than this.
pub(super) fn wait_closed(patience: Duration) {
    CLOSING.1.wait_while_for(&mut CLOSING.0.lock(), |closing| *closing > 0, patience);
}

/// A handle of the thread. The thread ends once all handles are dropped and all that waits is done.
pub(super) struct Writer {
    shared: Arc<Shared>,
    jobs: mpsc::Sender<Job>,
    /// Where the thread takes work from, until it is started.
    unstarted: Mutex<Option<mpsc::Receiver<Job>>>,
    /// None for a database in memory, whose operations are done by the caller.
    file: Option<Arc<OpenFile>>,
    pub watchers: Arc<Watchers>,
}

/// What callers and the thread share. The connection is locked before the worker.
struct Shared {
    /// Dropped first: a checkpoint that runs ends before the file is closed.
    worker: Mutex<Worker>,
    connection: SharedConnection,
    /// How many operations wait for the thread.
    queued: AtomicUsize,
}

impl Writer {
    /// The writer of a file, or of a database in memory.
    pub fn new(connection: FileConnection, options: &Options, file: Option<Arc<OpenFile>>) -> Self {
        let watchers = Arc::new(Watchers::default());
        let worker = Worker::new(&connection, watchers.clone(), options, file.clone());
        let connection = Arc::new(ReentrantMutex::new(connection));
        let shared = Shared { worker: Mutex::new(worker), connection, queued: AtomicUsize::new(0) };
        let (jobs, waiting) = mpsc::channel(QUEUE);
        let unstarted = Mutex::new(Some(waiting));
        Self { shared: Arc::new(shared), jobs, unstarted, file, watchers }
    }

    /// Starts the thread, if it was not yet.
    fn start(&self) -> Result<()> {
        match self.unstarted.lock().take() {
            Some(waiting) => start(self.shared.clone(), waiting),
            None => Ok(()),
        }
    }

    /// The connection, for the reads of a database in memory.
    pub fn connection(&self) -> SharedConnection {
        self.shared.connection.clone()
    }

    /// Opens a connection for reads to the file.
    pub fn open_reader(&self) -> Result<FileConnection> {
        let file = self.file.as_ref().ok_or(Error::Closed)?;
        let reader = connection::open_reader(file.name())?;
        file.verify()?;
        Ok(reader)
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
    pub fn write(self: Arc<Self>, write: AtomicWrite) -> impl Future<Output = Result<Commit>> + Send + use<> {
        self.operate(|answer| Operation::Write { write, reply: Reply::new(answer) })
    }

    /// See [`Database::delete_range`](crate::Database::delete_range).
    pub fn delete_range(
        self: Arc<Self>,
        start: Vec<u8>,
        end: Vec<u8>,
        limit: u32,
    ) -> impl Future<Output = Result<u64>> + Send + use<> {
        self.operate(move |answer| Operation::DeleteRange { start, end, limit, reply: Reply::new(answer) })
    }

    /// Finishes a message. See [`Delivery::finish`](crate::Delivery::finish).
    pub fn finish(self: Arc<Self>, id: String, success: bool) -> impl Future<Output = Result<()>> + Send + use<> {
        self.operate(move |answer| Operation::Finish { id, success, reply: Reply::new(answer) })
    }

    /// Takes messages, as many as there is room for.
    pub fn dequeue(self: Arc<Self>, room: usize) -> impl Future<Output = Result<Vec<Taken>>> + Send + use<> {
        let (answer, answered) = oneshot::channel();
        self.ask(Some(Job::Dequeue { room, answer }), answered)
    }

    /// Lets the thread look at what is due, which may be earlier than it was. A full queue means a thread that is awake,
    /// and finds out by itself.
    ///
    /// # Errors
    /// [`Error::Thread`] where the thread cannot be started.
    pub fn look(&self) -> Result<()> {
        self.start()?;
        let _ = self.jobs.try_send(Job::Look);
        Ok(())
    }

    fn operate<T: Send + 'static>(
        self: Arc<Self>,
        operation: impl FnOnce(Answer<T>) -> Operation,
    ) -> impl Future<Output = Result<T>> + Send {
        let (answer, answered) = oneshot::channel();
        let operation = operation(answer);
        // A write from within a visit of a read would change what the visit borrows. It is left to the thread, and so are
        // those after it, to keep their order.
        let shared = &self.shared;
        let job = if self.file.is_none()
            && !shared.connection.is_owned_by_current_thread()
            && shared.queued.load(Ordering::Acquire) == 0
        {
            shared.operate(operation)
        } else {
            shared.queued.fetch_add(1, Ordering::AcqRel);
            Some(Job::Do(operation))
        };
        self.ask(job, answered)
    }

    /// Queues work at once, or waits for room in the queue first. Then waits for the answer.
    fn ask<T: Send + 'static>(
        self: Arc<Self>,
        job: Option<Job>,
        answered: oneshot::Receiver<Result<T>>,
    ) -> impl Future<Output = Result<T>> + Send {
        let left = job.map_or(Ok(None), |job| self.queue(job));
        async move {
            if let Some(job) = left? {
                self.jobs.send(job).await.map_err(|_| Error::Closed)?;
            }
            // The file is not kept open for an answer.
            drop(self);
            answered.await.map_err(|_| Error::Closed)?
        }
    }

    /// Queues work. Answers it where there is no room.
    fn queue(&self, job: Job) -> Result<Option<Job>> {
        self.start()?;
        match self.jobs.try_send(job) {
            Ok(()) => Ok(None),
            Err(mpsc::error::TrySendError::Full(job)) => Ok(Some(job)),
            Err(mpsc::error::TrySendError::Closed(_)) => Err(Error::Closed),
        }
    }
}

impl Shared {
    /// Does an operation on the caller's thread. Answers what that leaves to the thread.
    fn operate(&self, operation: Operation) -> Option<Job> {
        let connection = self.connection.lock();
        let mut worker = self.worker.lock();
        let before = worker.due();
        worker.work(&connection, &mut vec![Job::Do(operation)]);
        let is_earlier = worker.due().is_some_and(|due| before.is_none_or(|before| due < before));
        is_earlier.then_some(Job::Look)
    }

    /// Looks at what is there already.
    fn begin(&self) {
        let connection = self.connection.lock();
        self.worker.lock().begin(&connection);
    }

    /// Makes ready to close the connection.
    fn end(&self) {
        let connection = self.connection.lock();
        self.worker.lock().end(&connection);
    }

    /// Does what the thread was asked for, and what is due.
    fn step(&self, jobs: &mut Vec<Job>) {
        let operations = jobs.iter().filter(|job| matches!(job, Job::Do(_))).count();
        let connection = self.connection.lock();
        self.worker.lock().step(&connection, jobs);
        self.queued.fetch_sub(operations, Ordering::AcqRel);
    }

    /// How long to wait for work until there is something to do anyway.
    fn wait(&self) -> Option<Duration> {
        let worker = self.worker.lock();
        Some(Duration::from_millis(worker.due()?.saturating_sub(worker.now())))
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        // What other processes left in the log is merged into the file by who closes it last. That takes its time, so
        // that it is work for the thread.
        if self.file.is_some() && has_log(&self.shared.connection.lock()) {
            let _ = self.start();
        }
        // A thread that runs takes work.
        let runs = self.unstarted.get_mut().is_none() && !self.jobs.is_closed();
        if runs {
            *CLOSING.0.lock() += 1;
        }
    }
}

/// Whether something in the log may have to be merged into the file.
fn has_log(connection: &Connection) -> bool {
    let log = connection.path().map(|path| fs::metadata(format!("{path}-wal")));
    log.is_some_and(|log| log.is_ok_and(|log| log.len() > 0))
}

/// Starts the thread.
fn start(shared: Arc<Shared>, waiting: mpsc::Receiver<Job>) -> Result<()> {
    let failed = |error| Error::Thread(Arc::new(error));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().map_err(failed)?;
    let run = move || {
        runtime.block_on(run(&shared, waiting));
        shared.end();
        // The connection is closed before the thread counts as gone.
        drop(shared);
        *CLOSING.0.lock() -= 1;
        CLOSING.1.notify_all();
    };
    thread::Builder::new().name("openkv-writer".into()).spawn(run).map_err(failed)?;
    Ok(())
}

async fn run(shared: &Shared, mut waiting: mpsc::Receiver<Job>) {
    shared.begin();
    let mut jobs = Vec::with_capacity(QUEUE);
    loop {
        let open = match shared.wait() {
            None => waiting.recv_many(&mut jobs, QUEUE).await > 0,
            Some(wait) => match tokio::time::timeout(wait, waiting.recv_many(&mut jobs, QUEUE)).await {
                Ok(received) => received > 0,
                Err(_) => true,
            },
        };
        if !open {
            return;
        }
        shared.step(&mut jobs);
    }
}

#[cfg(test)]
mod tests {
    use std::ops::ControlFlow;

    use futures_executor::block_on;

    use crate::sqlite::{Location, Options, Sqlite};
    use crate::{AtomicWrite, Database, Key, KeyPart, Mutation, Read, Value, ValueRef};

    #[test]
    fn a_write_from_within_a_read_in_memory_waits_for_its_end_and_keeps_its_turn() {
        let database = Sqlite::open(Location::Memory, Options::default()).unwrap();
        let key = Key::from_parts(&[KeyPart::from("a")]).unwrap();
        let set = |value| AtomicWrite::new().mutate(Mutation::set(key.clone(), Value::U64(value)));
        database.write_blocking(set(1)).unwrap();

        let mut pending = Vec::new();
        let read = database.read(&[Read::Key(&key)], &mut |_, entry| {
            pending.push(database.write(set(2)));
            assert_eq!(entry.value, Some(ValueRef::U64(1)));
            ControlFlow::Continue(())
        });
        read.unwrap();
        pending.push(database.write(set(3)));

        let versions = pending.into_iter().map(|write| block_on(write).unwrap().versionstamp().unwrap());
        assert!(versions.collect::<Vec<_>>().is_sorted());
        let entries = database.read_entries(&[Read::Key(&key)]).unwrap();
        assert_eq!(entries[0][0].value, Some(Value::U64(3)));
    }
}
