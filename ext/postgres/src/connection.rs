use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::poll_fn;
use openkv_engine::Error;
use parking_lot::Mutex;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_postgres::config::SslMode;
use tokio_postgres::error::SqlState;
use tokio_postgres::{AsyncMessage, Client, Config, Statement};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::address::{Address, Attributes, Host, Security};
use crate::clock::ServerClock;
use crate::error::{CallError, Failure, OpenError, describe, describe_db, is_transient};
use crate::password::Environment;
use crate::sql;

/// The options of a session. The server ends the session of a client that stops within a transaction, which holds the lock of all
/// writes. The plans of the few statements are known: by the indexes, whatever the statistics. Our own setting shows whether the
/// options have arrived.
const SESSION: &str = "-c openkv.session=direct -c idle_in_transaction_session_timeout=10s -c search_path=pg_catalog,pg_temp \
     -c default_transaction_isolation=read\\ committed -c plan_cache_mode=force_generic_plan -c enable_seqscan=off -c enable_bitmapscan=off -c enable_sort=off -c jit=off";

/// How soon a dead peer is detected.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(10);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(3);
const KEEPALIVE_RETRIES: u32 = 3;
const USER_TIMEOUT: Duration = Duration::from_secs(20);

/// The kind of server to connect to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// The server that accepts writes, unless the address accepts any.
    Primary,
    /// A server that only replicates.
    Standby,
}

/// Connects to the servers of an address.
pub(crate) struct Connector {
    pub address: Address,
    environment: Environment,
    tls: MakeRustlsConnect,
    clock: Arc<ServerClock>,
    /// The index of the host that is tried first, for each role.
    first: [AtomicUsize; 2],
}

/// Why a host cannot be used.
enum Unusable {
    /// It may become usable.
    Now(String),
    /// A retry would fail in the same way.
    Final(OpenError),
}

impl Connector {
    pub fn new(address: Address, environment: Environment, tls: MakeRustlsConnect, clock: Arc<ServerClock>) -> Self {
        Self { address, environment, tls, clock, first: Default::default() }
    }

    /// Connects to the first usable host.
    pub async fn connect(&self, role: Role) -> Result<Connection, Failure> {
        let hosts = &self.address.hosts;
        let preferred = &self.first[role as usize];
        let first = preferred.load(Ordering::Relaxed);
        let mut reasons = Vec::new();
        let mut fatal = None;
        for i in (0..hosts.len()).map(|i| (first + i) % hosts.len()) {
            match self.connect_host(&hosts[i], role).await {
                Ok(connection) => {
                    preferred.store(i, Ordering::Relaxed);
                    return Ok(connection);
                }
                Err(Unusable::Now(why)) => reasons.push(format!("{}: {why}", hosts[i])),
                Err(Unusable::Final(error)) => fatal = Some(error),
            }
        }
        Err(match fatal {
            Some(error) => Failure::Final(error.into()),
            None => {
                let address = self.address.to_string();
                Failure::Transient(OpenError::Unreachable { address, why: reasons.join("; ") }.into())
            }
        })
    }

    async fn connect_host(&self, host: &Host, role: Role) -> Result<Connection, Unusable> {
        let connected = async {
            let config = self.config(host);
            let (client, connection) =
                config.connect(self.tls.clone()).await.map_err(|error| self.unusable(host, &error))?;
            let connection = Connection::start(client, connection);
            self.greet(connection, host, role).await
        };
        match tokio::time::timeout(self.address.connect_timeout, connected).await {
            Ok(connected) => connected,
            Err(_) => {
                Err(Unusable::Now(format!("no response within {} seconds", self.address.connect_timeout.as_secs())))
            }
        }
    }

    fn config(&self, host: &Host) -> Config {
        let address = &self.address;
        let mut config = Config::new();
        config.host(&host.name).port(host.port).user(self.environment.user(address));
        if let Some(database) = &address.database {
            config.dbname(database);
        }
        if let Some(password) = self.environment.password(address, host) {
            config.password(password);
        }
        config.options(SESSION).application_name(&address.application_name);
        config.ssl_mode(match address.security {
            Security::Disable => SslMode::Disable,
            Security::Prefer => SslMode::Prefer,
            Security::Require | Security::VerifyFull => SslMode::Require,
        });
        config.keepalives_idle(KEEPALIVE_IDLE).keepalives_interval(KEEPALIVE_INTERVAL);
        config.keepalives_retries(KEEPALIVE_RETRIES).tcp_user_timeout(USER_TIMEOUT);
        config
    }

    fn unusable(&self, host: &Host, error: &tokio_postgres::Error) -> Unusable {
        let (address, why) = (self.address.to_string(), describe(error));
        let Some(db) = error.as_db_error() else {
            return if why.contains("password missing") {
                Unusable::Final(OpenError::Credentials { address, why: "the server requires a password".to_owned() })
            } else {
                Unusable::Now(why)
            };
        };
        let code = db.code();
        if db.message().contains("unsupported startup parameter") {
            return Unusable::Final(OpenError::Pooler { address, host: host.to_string() });
        }
        if code.code().starts_with("28") {
            return Unusable::Final(OpenError::Credentials { address, why });
        }
        if is_transient(code) || *code == SqlState::INSUFFICIENT_RESOURCES {
            return Unusable::Now(why);
        }
        Unusable::Final(OpenError::Failed { address, why })
    }

    /// Checks that the server has the role, and reads its clock.
    async fn greet(&self, mut connection: Connection, host: &Host, role: Role) -> Result<Connection, Unusable> {
        let row = connection.client.query_typed_one(sql::HELLO, &[]).await;
        let row = row.map_err(|error| self.unusable(host, &error))?;
        let (is_standby, is_read_only): (bool, bool) = (row.get(0), row.get(1));
        let session: Option<&str> = row.get(2);
        if session != Some("direct") {
            let address = self.address.to_string();
            return Err(Unusable::Final(OpenError::Pooler { address, host: host.to_string() }));
        }
        match role {
            Role::Standby if !is_standby => return Err(Unusable::Now("it is no standby".to_owned())),
            Role::Primary if self.address.attributes == Attributes::ReadWrite && (is_standby || is_read_only) => {
                let why =
                    if is_standby { "it is a standby, which is read-only" } else { "it is read-only for this user" };
                return Err(Unusable::Now(why.to_owned()));
            }
            Role::Standby | Role::Primary => {}
        }
        if role == Role::Primary {
            self.clock.set(row.get(3));
        }
        // Anything less would lose commits when the server crashes, or its standby is promoted.
        if matches!(row.get(4), "off" | "local" | "remote_write") {
            let set = connection.client.batch_execute("set synchronous_commit = on").await;
            set.map_err(|error| self.unusable(host, &error))?;
        }
        connection.is_read_only = is_standby || is_read_only;
        Ok(connection)
    }
}

/// A connection to a server, closed when it is dropped.
pub(crate) struct Connection {
    pub client: Client,
    /// Whether the server rejects writes.
    pub is_read_only: bool,
    /// The payloads of notifications. The channel closes when the connection is lost.
    pub notifications: mpsc::UnboundedReceiver<String>,
    /// The last warning of the server.
    warning: Arc<Mutex<Option<String>>>,
    statements: Mutex<HashMap<String, Statement>>,
    driver: JoinHandle<()>,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl Connection {
    fn start<S, T>(client: Client, mut connection: tokio_postgres::Connection<S, T>) -> Self
    where
        S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
        T: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
    {
        let (sender, notifications) = mpsc::unbounded_channel();
        let warning = Arc::new(Mutex::default());
        let last = warning.clone();
        let driver = tokio::spawn(async move {
            let mut messages = poll_fn(move |context| connection.poll_message(context));
            while let Some(Ok(message)) = messages.next().await {
                match message {
                    AsyncMessage::Notification(notification) => drop(sender.send(notification.payload().to_owned())),
                    AsyncMessage::Notice(notice) if *notice.code() == SqlState::WARNING => {
                        *last.lock() = Some(describe_db(&notice));
                    }
                    _ => {}
                }
            }
        });
        let statements = Mutex::default();
        Self { client, is_read_only: false, notifications, warning, statements, driver }
    }

    /// Returns a prepared statement.
    pub async fn prepare(&self, sql: &str) -> Result<Statement, tokio_postgres::Error> {
        if let Some(statement) = self.statements.lock().get(sql) {
            return Ok(statement.clone());
        }
        let statement = self.client.prepare(sql).await?;
        self.statements.lock().insert(sql.to_owned(), statement.clone());
        Ok(statement)
    }

    /// Checks that a commit was confirmed without a warning. Otherwise, an administrator has cancelled its wait for the standby.
    pub fn check_replicated(&self) -> Result<(), Error> {
        match self.warning.lock().take() {
            None => Ok(()),
            Some(warning) => Err(CallError::NotReplicated(warning).into()),
        }
    }
}
