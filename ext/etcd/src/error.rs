use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use openkv_engine::{Cause, Error};
use tonic::{Code, Status};

/// Why a call to the cluster failed.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EtcdError {
    /// No node responded, or the cluster has no leader.
    #[error(
        "no etcd node of {endpoints} completed the call within {seconds} s: {reason}: check that most nodes run and reach each other"
    )]
    Unavailable {
        /// The addresses of the nodes.
        endpoints: String,
        /// How long the call was retried.
        seconds: u64,
        /// The last failure.
        reason: String,
    },
    /// The storage quota of the cluster is used up: it rejects writes until an operator has freed space.
    #[error(
        "etcd's storage quota is used up (NOSPACE): compact and defragment the nodes, then disarm the alarm, or raise \
         --quota-backend-bytes: see docs/etcd.md"
    )]
    NoSpace,
    /// The cluster requires a user, or rejects the password.
    #[error("etcd rejects the user or password: {0}: set OPENKV_ETCD_USER and OPENKV_ETCD_PASSWORD")]
    Credentials(String),
    /// The user may not access the keys of the database.
    #[error("etcd denies access to the keys of the database: {0}: grant the user read and write access to its prefix")]
    Permission(String),
    /// The revision to read was compacted while it was read.
    #[error(
        "the revision was compacted while it was read: read again, or keep more history with --auto-compaction-retention"
    )]
    Compacted,
    /// The cluster rejected the call.
    #[error("etcd rejected the call: {0}")]
    Rejected(String),
    /// The response does not match the call.
    #[error("etcd sent a response that does not match the call: {0}: check that the URL names nodes of etcd")]
    Malformed(&'static str),
    /// Other processes changed the keys of a write each time before it was committed. With the time in seconds.
    #[error(
        "the write was not committed within {0} s, because others changed the same keys each time: write them less often, or in \
         fewer processes"
    )]
    Contention(u64),
    /// Leases expired each time before they were used. With the time in seconds.
    #[error("etcd did not find leases that it had granted, for {0} s: check the health and the load of its nodes")]
    LeasesLost(u64),
    /// The lease of the call has expired, such as that of the session while the outcome of a write was unknown.
    #[error(
        "the session with etcd expired before the call was confirmed, as after a long pause of this process: read what was \
         written before repeating it"
    )]
    SessionExpired,
    /// The claim of a message has expired, so that another listener may have received it.
    #[error("the claim of the message has expired: it is delivered again")]
    ClaimLost,
    /// The keys of the database were deleted while it was open.
    #[error("the database was deleted while it was open: open it again")]
    Deleted,
    /// The thread of the client has ended.
    #[error("the etcd client has stopped, because the process exits")]
    Stopped,
}

impl From<EtcdError> for Error {
    fn from(error: EtcdError) -> Self {
        match error {
            EtcdError::NoSpace => Error::Full(Cause::new(error)),
            error => Error::Storage(Cause::new(error)),
        }
    }
}

/// The error of a call.
#[derive(Clone, Debug)]
pub(crate) struct Failure {
    pub error: EtcdError,
    /// Whether the cluster may have processed the call.
    pub is_ambiguous: bool,
}

impl Failure {
    /// Returns the error of a read.
    pub fn of_read(self) -> Error {
        self.error.into()
    }

    /// Returns the error of a write.
    pub fn of_write(self) -> Error {
        let error = Error::from(self.error);
        if self.is_ambiguous { Error::OutcomeUnknown(Arc::new(error)) } else { error }
    }
}

impl From<EtcdError> for Failure {
    fn from(error: EtcdError) -> Self {
        Self { error, is_ambiguous: false }
    }
}

/// What a failed attempt of a call means.
#[derive(Clone, Debug)]
pub(crate) enum Attempt {
    /// The call can be repeated. `is_ambiguous` if the node may have processed it.
    Retry { reason: String, is_ambiguous: bool },
    /// The call can be repeated with a new token.
    Reauthenticate(String),
    /// A repetition would fail, too. `is_ambiguous` if the node may have processed the call.
    Final { error: EtcdError, is_ambiguous: bool },
}

impl fmt::Display for Attempt {
    /// Writes the reason.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Retry { reason, .. } | Self::Reauthenticate(reason) => f.write_str(reason),
            Self::Final { error, .. } => write!(f, "{error}"),
        }
    }
}

/// Returns why a call failed.
pub(crate) fn reason(status: &Status) -> String {
    std::error::Error::source(status).map_or_else(|| status.message().to_owned(), cause)
}

/// Returns the first cause of an error.
pub(crate) fn cause(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.last().map_or_else(String::new, ToString::to_string)
}

impl Attempt {
    /// Classifies the status of a response.
    pub fn of_status(status: &Status) -> Self {
        let message = reason(status);
        let retry = |is_ambiguous| Self::Retry { reason: message.clone(), is_ambiguous };
        let reject = |error| Self::Final { error, is_ambiguous: false };
        if std::error::Error::source(status).is_some() {
            // Not sent by the node: the connection has failed.
            return retry(true);
        }
        match status.code() {
            Code::Unauthenticated => Self::Reauthenticate(message),
            Code::InvalidArgument if message.contains("auth store is old") => Self::Reauthenticate(message),
            Code::InvalidArgument
                if message.contains("authentication failed") || message.contains("user name is empty") =>
            {
                reject(EtcdError::Credentials(message))
            }
            Code::PermissionDenied => reject(EtcdError::Permission(message)),
            Code::ResourceExhausted if message.contains("space exceeded") => reject(EtcdError::NoSpace),
            Code::ResourceExhausted if message.contains("too many requests") => retry(false),
            Code::NotFound if message.contains("lease not found") => reject(EtcdError::SessionExpired),
            Code::OutOfRange if message.contains("compacted") => reject(EtcdError::Compacted),
            // Of the client, before it receives the response.
            Code::OutOfRange if message.contains("message length too large") => {
                Self::Final { error: EtcdError::Malformed("it is too large"), is_ambiguous: true }
            }
            // Checked before the request is proposed.
            Code::Unavailable if message.contains("no leader") => retry(false),
            Code::Unavailable
            | Code::DeadlineExceeded
            | Code::Cancelled
            | Code::Aborted
            | Code::Unknown
            | Code::Internal => retry(true),
            _ => reject(EtcdError::Rejected(message)),
        }
    }
}

/// The error of a database that cannot be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The URL is malformed.
    #[error("invalid database URL {url:?}: {problem}: write etcd://HOST:PORT,HOST:PORT/NAME, or etcds:// for TLS")]
    InvalidUrl {
        /// The URL.
        url: String,
        /// Its problem.
        problem: &'static str,
    },
    /// Of two variables of the environment, only one is set.
    #[error("{set} is set without {unset}: set both, or neither")]
    Incomplete {
        /// The variable that is set.
        set: &'static str,
        /// The missing variable.
        unset: &'static str,
    },
    /// A file with certificates or a key cannot be used.
    #[error("failed to read the certificate or key in {path:?}: {why}")]
    Certificates {
        /// The path of the file.
        path: PathBuf,
        /// Why it cannot be used.
        why: String,
    },
    /// `etcds://` without certificates to trust.
    #[error("failed to open {url}: this program trusts no certificates: set OPENKV_ETCD_CACERT to a PEM file")]
    NoCertificates {
        /// The URL.
        url: String,
    },
    /// The cluster cannot be used.
    #[error("failed to open {url}: {error}")]
    Cluster {
        /// The URL.
        url: String,
        /// The error of the cluster.
        #[source]
        error: EtcdError,
    },
    /// A newer program has created the database.
    #[error(
        "failed to open {url}: its layout has version {found}, and this program supports versions up to {known}: use a newer one"
    )]
    NewerLayout {
        /// The URL.
        url: String,
        /// The version of the layout.
        found: u64,
        /// The newest supported version.
        known: u64,
    },
    /// The keys of the database were not written by this program.
    #[error(
        "failed to open {url}: its description cannot be decoded: choose another name, or restore the database from a backup"
    )]
    Corrupt {
        /// The URL.
        url: String,
    },
}

impl From<OpenError> for Error {
    fn from(error: OpenError) -> Self {
        Error::Connect(Cause::new(error))
    }
}
