use std::path::PathBuf;

use openkv_engine::{Cause, Error};
use tokio_postgres::error::{DbError, SqlState};

use crate::address::AddressError;

/// Why a database could not be opened.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The URL is invalid.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// No server can be used.
    #[error("unable to connect to '{address}': {why}")]
    Unreachable {
        /// The URL without its password.
        address: String,
        /// The reason for each server.
        why: String,
    },
    /// A server rejects the user.
    #[error("unable to connect to '{address}': {why}: check the user and the password, and the server's pg_hba.conf")]
    Credentials {
        /// The URL without its password.
        address: String,
        /// The message of the server.
        why: String,
    },
    /// A connection pooler, which gives the connection to different sessions.
    #[error(
        "unable to connect to '{address}': {host} is a connection pooler such as PgBouncer, which does not keep sessions: use the \
         address of the PostgreSQL server itself"
    )]
    Pooler {
        /// The URL without its password.
        address: String,
        /// The server.
        host: String,
    },
    /// The tables were created by a newer program.
    #[error(
        "the tables of '{address}' have layout version {found}, and this program supports versions up to {known}: use a newer one"
    )]
    NewerLayout {
        /// The URL without its password.
        address: String,
        /// The version of the tables.
        found: i32,
        /// The newest supported version.
        known: i32,
    },
    /// The tables do not exist, and cannot be created.
    #[error(
        "unable to create the tables of '{address}': {why}: open it once as a user who may create the schema, and grant this user \
         access to it"
    )]
    NotCreated {
        /// The URL without its password.
        address: String,
        /// The message of the server.
        why: String,
    },
    /// The user has no access to the tables.
    #[error("unable to use the tables of '{address}': {why}: grant the user access to the schema and its tables")]
    NotGranted {
        /// The URL without its password.
        address: String,
        /// The message of the server.
        why: String,
    },
    /// The file with the trusted certificates cannot be used.
    #[error("unable to read the certificates of sslrootcert from {}: {why}", path.display())]
    Certificates {
        /// The file.
        path: PathBuf,
        /// The reason.
        why: String,
    },
    /// The certificate is to be verified, but the program trusts none.
    #[error(
        "unable to verify the certificate of '{address}': this program has no certificates: give a file in sslrootcert"
    )]
    NoCertificates {
        /// The URL without its password.
        address: String,
    },
    /// TLS cannot be configured.
    #[error("unable to configure TLS: {0}")]
    Tls(String),
    /// The server returned an error.
    #[error("unable to open '{address}': {why}")]
    Failed {
        /// The URL without its password.
        address: String,
        /// The message of the server.
        why: String,
    },
}

impl From<OpenError> for Error {
    fn from(error: OpenError) -> Self {
        Self::Connect(Cause::new(error))
    }
}

/// Why a call failed.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CallError {
    /// The connection was lost, or the server cannot take part.
    #[error("PostgreSQL: {0}")]
    Lost(String),
    /// The server did not respond in time.
    #[error(
        "PostgreSQL did not respond within {seconds} seconds: if it waits for a synchronous standby, start the standby or change \
         synchronous_standby_names"
    )]
    TimedOut {
        /// The timeout.
        seconds: u64,
    },
    /// The server confirmed a commit that it has not replicated.
    #[error("PostgreSQL has not replicated the commit: {0}")]
    NotReplicated(String),
    /// The server rejected a statement.
    #[error("PostgreSQL: {0}")]
    Rejected(String),
    /// The user may not access the tables.
    #[error("PostgreSQL: {0}: grant the user access to the schema and its tables")]
    NotGranted(String),
    /// A statement exceeded `statement_timeout` or `lock_timeout`.
    #[error("PostgreSQL: {0}: raise statement_timeout or lock_timeout of the user, or find what holds the lock")]
    StatementTimeout(String),
    /// The tables were created anew, or migrated by a newer program, while the database was open.
    #[error(
        "the tables have layout version {found}, and this program supports versions up to {known}: use a newer one"
    )]
    NewerLayout {
        /// The version of the tables.
        found: i32,
        /// The newest supported version.
        known: i32,
    },
    /// The client's runtime has stopped.
    #[error("the client of the database was stopped")]
    Stopped,
}

impl From<CallError> for Error {
    fn from(error: CallError) -> Self {
        Self::Storage(Cause::new(error))
    }
}

/// Why an attempt failed.
#[derive(Debug)]
pub(crate) enum Failure {
    /// A retry, over a new connection, may succeed.
    Transient(Error),
    /// The server rejected a parameter of one of the writes.
    Data(Error),
    /// A retry would fail in the same way.
    Final(Error),
}

impl Failure {
    pub fn into_error(self) -> Error {
        match self {
            Self::Transient(error) | Self::Data(error) | Self::Final(error) => error,
        }
    }
}

impl From<CallError> for Failure {
    fn from(error: CallError) -> Self {
        Self::Final(error.into())
    }
}

impl From<tokio_postgres::Error> for Failure {
    fn from(error: tokio_postgres::Error) -> Self {
        let Some(db) = error.as_db_error() else { return Self::Transient(CallError::Lost(describe(&error)).into()) };
        let message = describe(&error);
        let code = db.code();
        if is_transient(code) {
            return Self::Transient(CallError::Lost(message).into());
        }
        match &code.code()[..2] {
            // Data exceptions, violated constraints, exceeded program limits.
            "22" | "23" | "54" => return Self::Data(CallError::Rejected(message).into()),
            _ => {}
        }
        Self::Final(match code {
            code if *code == SqlState::DISK_FULL => Error::Full(Cause::new(CallError::Rejected(message))),
            code if *code == SqlState::INSUFFICIENT_PRIVILEGE => CallError::NotGranted(message).into(),
            code if *code == SqlState::QUERY_CANCELED || *code == SqlState::LOCK_NOT_AVAILABLE => {
                CallError::StatementTimeout(message).into()
            }
            _ => CallError::Rejected(message).into(),
        })
    }
}

/// Returns whether a statement may succeed over a new connection: the server shuts down, starts, or was demoted, or the
/// transaction lost against another.
pub(crate) fn is_transient(code: &SqlState) -> bool {
    code.code().starts_with("08")
        || [
            SqlState::ADMIN_SHUTDOWN,
            SqlState::CRASH_SHUTDOWN,
            SqlState::CANNOT_CONNECT_NOW,
            SqlState::IDLE_IN_TRANSACTION_SESSION_TIMEOUT,
            SqlState::IDLE_SESSION_TIMEOUT,
            SqlState::READ_ONLY_SQL_TRANSACTION,
            SqlState::T_R_SERIALIZATION_FAILURE,
            SqlState::T_R_DEADLOCK_DETECTED,
            SqlState::TOO_MANY_CONNECTIONS,
        ]
        .contains(code)
}

/// Returns the message of an error, with its cause.
pub(crate) fn describe(error: &tokio_postgres::Error) -> String {
    match (error.as_db_error(), std::error::Error::source(error)) {
        (Some(db), _) => describe_db(db),
        (None, Some(source)) => format!("{error}: {source}"),
        (None, None) => error.to_string(),
    }
}

pub(crate) fn describe_db(error: &DbError) -> String {
    let detail = error.detail().map(|detail| format!(" ({detail})")).unwrap_or_default();
    format!("{}{detail} [{}]", error.message(), error.code().code())
}
