use std::borrow::Cow;
use std::sync::Arc;

use deno_core::error::ResourceError;
use deno_error::{JsErrorBox, JsErrorClass, PropertyValue};
use openkv_engine::{Error, KeyError};

/// An error that an op of this extension throws.
#[derive(Debug, thiserror::Error)]
pub enum KvError {
    /// An error of the engine.
    #[error(transparent)]
    Engine(#[from] Error),
    /// The database was closed.
    #[error(transparent)]
    Resource(#[from] ResourceError),
    /// An error of the host.
    #[error(transparent)]
    Host(#[from] JsErrorBox),

    /// An argument has the wrong type.
    #[error("{what} must be {expected}: received {received}")]
    Type {
        /// The name of the argument.
        what: &'static str,
        /// The expected type, with an article.
        expected: &'static str,
        /// The received type, as returned by [`kind`](crate::key::kind).
        received: &'static str,
    },
    /// The bytes to store are in shared memory, to which other threads may write.
    #[error("a Uint8Array of shared memory cannot be stored: store a copy, for example with slice()")]
    SharedBytes,
    /// The consistency is unknown.
    #[error("consistency must be \"strong\" or \"eventual\": received {0}")]
    UnknownConsistency(String),
    /// A mutation has no key. The message is that of Deno, which reads the key's length.
    #[error("Cannot read properties of {0} (reading 'length')")]
    MissingKey(&'static str),
    /// A key part has an invalid type.
    #[error("expected string, number, bigint, ArrayBufferView, boolean")]
    NotAKeyPart,
    /// A key part cannot be encoded, or a stored key is corrupt.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The versionstamp of a check is invalid, or its key cannot be encoded.
    #[error("Invalid check")]
    InvalidCheck,
    /// The key of a mutation is invalid.
    #[error("{}", mutation_message(.0))]
    Mutation(#[source] Arc<KvError>),
    /// A key for undelivered messages cannot be encoded.
    #[error("Invalid enqueue")]
    InvalidEnqueue,
    /// The time of expiry is out of range.
    #[error("Invalid mutation: expireIn is too large: {0}")]
    ExpiresTooLate(u64),
    /// The shim has passed an invalid argument.
    #[error("{0}")]
    Argument(&'static str),
    /// A string in a stored key exceeds V8's maximum of about 500 MB. Only a corrupt file has such a key.
    #[error("a stored key is corrupt: a string in it is too long")]
    LongKey,
    /// The stored bytes are not a valid value in V8's serialization format.
    #[error("could not deserialize value")]
    Deserialize,
    /// The stored value contains an object of a class that this host does not have.
    #[error("could not deserialize value: this host has no {0:?}")]
    UnknownObject(String),

    /// `Deno.openKv("")`.
    #[error("Filename cannot be empty")]
    EmptyPath,
    /// `Deno.openKv(":other:")`.
    #[error("Filename cannot start with ':' unless prefixed with './'")]
    ColonPath,
    /// The path is a URI that is not supported.
    #[error("unable to open database file: {uri}: {problem}: pass the path of a file")]
    Uri {
        /// The URI.
        uri: String,
        /// The problem of the URI.
        problem: &'static str,
    },
    /// The path is the URL of a remote database.
    #[error(
        "{0} is the URL of a remote database, which this program cannot open, as it has no KV Connect client: pass the path of a file"
    )]
    Remote(String),
    /// `watch` in a host without streams.
    #[error("watch requires ReadableStream, which this host does not provide: add the extension deno_web")]
    NoStreams,
}

impl JsErrorClass for KvError {
    /// Returns the class of the error in JavaScript.
    fn get_class(&self) -> Cow<'static, str> {
        let class = match self {
            KvError::Host(error) => return error.get_class(),
            KvError::Resource(error) => return error.get_class(),
            KvError::Mutation(error) => return error.get_class(),
            KvError::Engine(Error::Closed) => "BadResource",
            KvError::Engine(Error::Busy) => "Busy",
            KvError::Engine(Error::Denied(_)) => "NotCapable",
            KvError::Engine(error) if error.is_failure() => "Error",
            KvError::Key(error) if error.is_corruption() => "Error",
            KvError::Uri { .. } => "Error",
            KvError::LongKey | KvError::Deserialize | KvError::UnknownObject(_) => "RangeError",
            KvError::Engine(Error::Unsupported { .. }) | KvError::Remote(_) | KvError::NoStreams => "NotSupported",
            _ => "TypeError",
        };
        Cow::Borrowed(class)
    }

    fn get_message(&self) -> Cow<'static, str> {
        self.to_string().into()
    }

    fn get_additional_properties(&self) -> Box<dyn Iterator<Item = (Cow<'static, str>, PropertyValue)>> {
        Box::new(std::iter::empty())
    }

    fn get_ref(&self) -> &(dyn std::error::Error + Send + Sync + 'static) {
        self
    }
}

/// Returns the message for an invalid key of a mutation. Like Deno, it has a prefix only if the key cannot be encoded.
fn mutation_message(error: &KvError) -> String {
    match error {
        KvError::Key(_) => format!("Invalid mutation: {error}"),
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use openkv_engine::Cause;

    use super::*;

    #[test]
    fn errors_of_backends_have_the_classes_of_failures() {
        let failed = Error::Storage(Cause::new(std::fmt::Error));
        let unknown = Error::OutcomeUnknown(Arc::new(failed.clone()));
        let unsupported = Error::Unsupported { backend: "paper", what: "watch keys" };
        let connect = Error::Connect(Cause::new(std::fmt::Error));
        let denied = Error::Denied(Cause::new(std::fmt::Error));
        let errors = [
            (failed, "Error"),
            (unknown, "Error"),
            (unsupported, "NotSupported"),
            (Error::Closed, "BadResource"),
            (connect, "TypeError"),
            (denied, "NotCapable"),
        ];
        for (error, class) in errors {
            assert_eq!(KvError::Engine(error.clone()).get_class(), class, "{error}");
        }
    }
}
