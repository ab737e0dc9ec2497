use std::borrow::Cow;
use std::sync::Arc;

use deno_core::error::ResourceError;
use deno_error::{JsErrorBox, JsErrorClass, PropertyValue};
use openkv_engine::{Error, KeyError};

/// What an op of this extension throws.
#[derive(Debug, thiserror::Error)]
pub enum KvError {
    /// The engine's answer.
    #[error(transparent)]
    Engine(#[from] Error),
    /// The database was closed.
    #[error(transparent)]
    Resource(#[from] ResourceError),
    /// What the host answered.
    #[error(transparent)]
    Host(#[from] JsErrorBox),

    /// An argument is of another type.
    #[error("{what} must be {expected}: received {received}")]
    Type {
        /// What the argument is for.
        what: &'static str,
        /// What it must be, with an article.
        expected: &'static str,
        /// What it is, as [`kind`](crate::key::kind) names it.
        received: &'static str,
    },
    /// Others may write to the bytes while they are read.
    #[error("a Uint8Array of shared memory cannot be stored: store a copy, as of its slice()")]
    SharedBytes,
    /// A consistency that is none.
    #[error("consistency must be \"strong\" or \"eventual\": received {0}")]
    UnknownConsistency(String),
    /// A mutation without a key. The text is that of Deno, which asks for the key's length.
    #[error("Cannot read properties of {0} (reading 'length')")]
    MissingKey(&'static str),
    /// A key part of a kind that no key has.
    #[error("expected string, number, bigint, ArrayBufferView, boolean")]
    NotAKeyPart,
    /// A key part that has no encoded form, or a stored key that is damaged.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The versionstamp of a check is not one, or its key has no encoded form.
    #[error("Invalid check")]
    InvalidCheck,
    /// The key of a mutation is wrong.
    #[error("{}", mutation_message(.0))]
    Mutation(#[source] Arc<KvError>),
    /// A key of a message that is to be written when it cannot be delivered has no encoded form.
    #[error("Invalid enqueue")]
    InvalidEnqueue,
    /// The time of expiry lies beyond what the format can hold.
    #[error("Invalid mutation: expireIn is too large: {0}")]
    ExpiresTooLate(u64),
    /// An argument is not of the type that the shim passes.
    #[error("{0}")]
    Argument(&'static str),
    /// A string of a stored key is longer than those of V8, of some 500 MB: no program writes such a key.
    #[error("a stored key is damaged: a string in it is too long")]
    LongKey,
    /// The stored bytes are not a value in V8's serialization format.
    #[error("could not deserialize value")]
    Deserialize,
    /// The stored value holds an object of a class that this host has not loaded.
    #[error("could not deserialize value: this host has no {0:?}")]
    UnknownObject(String),

    /// `Deno.openKv("")`.
    #[error("Filename cannot be empty")]
    EmptyPath,
    /// `Deno.openKv(":other:")`.
    #[error("Filename cannot start with ':' unless prefixed with './'")]
    ColonPath,
    /// The path is a URI that names nothing which can be opened.
    #[error("unable to open database file: {uri}: {problem}: give the path of a file")]
    Uri {
        /// The path.
        uri: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// The path is that of a remote database.
    #[error("{0} is a remote database, which this version cannot open: give the path of a file")]
    Remote(String),
    /// `watch` in a host without streams.
    #[error("watch requires ReadableStream, which this host does not provide: add the extension deno_web")]
    NoStreams,
}

impl JsErrorClass for KvError {
    /// The one table from errors to the classes that scripts see.
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

/// Deno says that it is a mutation whose key has no encoded form, and of what type other keys must be.
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
    fn errors_of_backends_have_classes_of_failures() {
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
