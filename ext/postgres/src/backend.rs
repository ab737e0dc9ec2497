use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use openkv_engine::{
    AtomicWrite, Backend, BoxFuture, BoxStream, Commit, Consistency, Database, Delivery, Error, Expiry, Key,
    LastCommit, Order, Page, Read, ReadEntry, ReadOptions, Result, StoredEntry, StoredMessage, Transfer, Turn,
    Versionstamp, WatchEvent, remote,
};
use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot, watch};

use crate::address::Address;
use crate::clock::ServerClock;
use crate::connection::{Connector, Role};
use crate::error::{CallError, Failure};
use crate::listener::Listener;
use crate::options::Options;
use crate::queue;
use crate::reads::Pool;
use crate::schema;
use crate::session::{Backoff, Session};
use crate::sql::Sql;
use crate::standby::Standby;
use crate::tls;
use crate::transaction::Writer;
use crate::writer::{self, Job, Kind, Reply};

/// An open database.
pub(crate) struct Postgres {
    session: Arc<Session>,
    database_id: [u8; 16],
    runtime: Handle,
    order: Arc<Order>,
    pool: Arc<Pool>,
    standby: Arc<Standby>,
    listener: Arc<Listener>,
    state: Mutex<State>,
}

/// What is dropped when the database is closed.
struct State {
    closed: Option<watch::Sender<()>>,
    writes: Option<mpsc::UnboundedSender<Job>>,
    /// The queue, once it is used.
    queue: Option<mpsc::UnboundedSender<queue::Request>>,
    is_listening: bool,
}

/// How long to retry the first connection. Afterwards, [`Options::retry_for`] applies.
const OPEN_FOR: std::time::Duration = std::time::Duration::from_secs(5);

/// Connects to a database, and creates its tables if necessary. Runs on `runtime`.
pub(crate) async fn open(address: Address, options: Options, runtime: Handle) -> Result<Database> {
    let clock = Arc::new(ServerClock::default());
    let tls = tls::connector(&address, options.tls.as_ref())?;
    let schema = address.schema.clone();
    let mut id = [0; 16];
    options.random.fill(&mut id);
    let session = Arc::new(Session {
        sql: Sql::new(&schema),
        connector: Connector::new(address, options.environment, tls, clock.clone()),
        clock,
        random: options.random,
        retry_for: options.retry_for,
        id,
        version: AtomicU64::new(0),
    });
    let mut backoff = Backoff::new(&*session.random, session.retry_for.min(OPEN_FOR));
    let (writer, state) = loop {
        match prepare(&session, &schema).await {
            Ok(prepared) => break prepared,
            Err(Failure::Transient(error)) if !backoff.wait().await => return Err(error),
            Err(Failure::Transient(_)) => {}
            Err(failure) => return Err(failure.into_error()),
        }
    };
    session.committed(state.version.max(0) as u64);
    let (writes, jobs) = mpsc::unbounded_channel();
    runtime.spawn(writer::run(session.clone(), writer, jobs));
    let pool = Arc::new(Pool::new(session.clone()));
    let backend = Postgres {
        database_id: state.id,
        runtime,
        order: Arc::default(),
        standby: Arc::new(Standby::new(session.clone(), pool.clone())),
        pool,
        listener: Arc::new(Listener::new(session.clone())),
        session,
        state: Mutex::new(State {
            closed: Some(watch::Sender::new(())),
            writes: Some(writes),
            queue: None,
            is_listening: false,
        }),
    };
    Ok(Database::new(backend, options.limits))
}

async fn prepare(session: &Arc<Session>, schema: &str) -> Result<(Writer, schema::State), Failure> {
    let connection = session.connector.connect(Role::Primary).await?;
    let address = session.connector.address.to_string();
    let state = schema::prepare(&connection, &session.sql, schema, &address).await?;
    Ok((Writer::new(session.clone(), connection).await?, state))
}

impl Postgres {
    /// Returns a receiver whose channel closes when the database is closed.
    fn closing(&self) -> Result<watch::Receiver<()>> {
        self.state.lock().closed.as_ref().map(watch::Sender::subscribe).ok_or(Error::Closed)
    }

    /// Runs a read in its turn.
    fn read_in_turn<T: Send + 'static>(
        &self,
        turn: Turn,
        read: impl Future<Output = Result<T>> + Send + 'static,
    ) -> BoxFuture<T> {
        if let Err(error) = self.closing() {
            return Box::pin(std::future::ready(Err(error)));
        }
        remote::read_in_turn(&self.runtime, turn, read, CallError::Stopped)
    }

    /// Runs what reads the whole database, after the writes before it.
    fn read_all<T: Send + 'static>(&self, read: impl Future<Output = Result<T>> + Send + 'static) -> BoxFuture<T> {
        self.read_in_turn(self.order.read_range(&[], &[u8::MAX]), read)
    }

    /// Queues a write for the task of the writer.
    fn write_in_turn<T: Send + 'static>(&self, job: impl FnOnce(&Order, Reply<T>) -> Job) -> BoxFuture<T> {
        let (reply, response) = oneshot::channel();
        // The lock keeps the turns in the order of the jobs.
        let state = self.state.lock();
        let Some(writes) = &state.writes else { return Box::pin(std::future::ready(Err(Error::Closed))) };
        if writes.send(job(&self.order, reply)).is_err() {
            return Box::pin(std::future::ready(Err(CallError::Stopped.into())));
        }
        Box::pin(async move { response.await.map_err(|_| Error::OutcomeUnknown(Arc::new(CallError::Stopped.into())))? })
    }

    /// Starts the task that listens, unless it is started.
    fn listen(&self, state: &mut State) {
        if let Some(closed) = &state.closed
            && !std::mem::replace(&mut state.is_listening, true)
        {
            self.runtime.spawn(self.listener.clone().run(closed.subscribe()));
        }
    }
}

impl Transfer for Postgres {
    fn entries(&self, after: &[u8], page: Page) -> BoxFuture<Vec<StoredEntry>> {
        let (pool, after) = (self.pool.clone(), after.to_vec());
        self.read_all(async move { pool.entries(&after, page).await })
    }

    fn messages(&self, after: &[u8], page: Page) -> BoxFuture<Vec<StoredMessage>> {
        let (pool, after) = (self.pool.clone(), after.to_vec());
        self.read_all(async move { pool.messages(&after, page).await })
    }

    fn last_commit(&self) -> BoxFuture<LastCommit> {
        let pool = self.pool.clone();
        self.read_all(async move {
            let versionstamp = Versionstamp::from_version(pool.version().await?);
            Ok(LastCommit { versionstamp, is_exact: true })
        })
    }

    fn raise_version(&self, versionstamp: Versionstamp) -> BoxFuture<()> {
        let pool = self.pool.clone();
        self.read_all(async move {
            let version = i64::try_from(versionstamp.to_version()).map_err(|_| Error::NoVersionLeft)?;
            pool.raise_version(version).await
        })
    }
}

impl Backend for Postgres {
    fn read(&self, reads: &[Read<'_>], options: ReadOptions) -> BoxFuture<Vec<Vec<ReadEntry>>> {
        let owned: Vec<_> = reads.iter().map(|read| read.into_owned()).collect();
        let (pool, standby) = (self.pool.clone(), self.standby.clone());
        self.read_in_turn(self.order.read(reads), async move {
            if options.consistency == Consistency::Eventual
                && let Some(lists) = standby.read(&owned, options.max_bytes).await?
            {
                return Ok(lists);
            }
            pool.read(&owned, options.max_bytes).await
        })
    }

    fn write(&self, write: AtomicWrite) -> BoxFuture<Commit> {
        self.write_in_turn(|order, reply| Job { turn: order.write(&write), kind: Kind::Write { write, reply } })
    }

    fn expiries(&self, keys: &[Key]) -> BoxFuture<Vec<Option<Expiry>>> {
        let reads: Vec<_> = keys.iter().map(Read::Key).collect();
        let (pool, keys) = (self.pool.clone(), keys.to_vec());
        self.read_in_turn(self.order.read(&reads), async move { pool.expiries(&keys).await })
    }

    fn count(&self, start: &[u8], end: &[u8]) -> Option<BoxFuture<u64>> {
        let (pool, range) = (self.pool.clone(), (start.to_vec(), end.to_vec()));
        let count = async move { pool.count(&range.0, &range.1).await };
        Some(self.read_in_turn(self.order.read_range(start, end), count))
    }

    fn delete_range(&self, start: &[u8], end: &[u8], limit: u32) -> Option<BoxFuture<u64>> {
        Some(self.write_in_turn(|order, reply| {
            let turn = order.delete_range(start, end);
            Job { turn, kind: Kind::DeleteRange { start: start.to_vec(), end: end.to_vec(), limit, reply } }
        }))
    }

    fn watch(&self, keys: &[Key]) -> Result<BoxStream<WatchEvent>> {
        let closed = self.closing()?;
        let events = self.listener.watch(keys);
        self.listen(&mut self.state.lock());
        Ok(remote::until_closed(events, closed))
    }

    fn dequeue(&self, limit: usize) -> BoxFuture<Vec<Delivery>> {
        let (reply, claimed) = oneshot::channel();
        let mut state = self.state.lock();
        let Some(mut closed) = state.closed.as_ref().map(watch::Sender::subscribe) else {
            return Box::pin(std::future::ready(Ok(Vec::new())));
        };
        self.listen(&mut state);
        let queue = state.queue.get_or_insert_with(|| {
            let (task, requests) = queue::Task::new(self.session.clone(), self.listener.clone());
            self.runtime.spawn(task.run());
            requests
        });
        // If the runtime was stopped, `reply` is dropped.
        let _ = queue.send(queue::Request::Dequeue { limit, reply });
        Box::pin(async move {
            tokio::select! {
                // Dropping claims requeues messages that were claimed while the database was closing.
                biased;
                _ = closed.changed() => Ok(Vec::new()),
                claimed = claimed => claimed.map_err(|_| CallError::Stopped)?,
            }
        })
    }

    fn id(&self) -> BoxFuture<Option<[u8; 16]>> {
        Box::pin(std::future::ready(self.closing().map(|_| Some(self.database_id))))
    }

    fn transfer(&self) -> Option<&dyn Transfer> {
        Some(self)
    }

    fn now(&self) -> u64 {
        self.session.clock.now()
    }

    fn close(&self) {
        // The tasks still complete the writes and the messages in flight.
        let mut state = self.state.lock();
        (state.closed, state.writes, state.queue) = (None, None, None);
    }
}
