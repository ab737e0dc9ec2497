//! The client: a backend of the engine for databases on a server.
//!
//! [`connect`] opens the database of a URL. It speaks versions 1 to 3 of the protocol over HTTP/2 or HTTP/1.1, and the extension
//! with servers of this crate.
//!
//! Calls take effect in the order in which they are made, as with any backend: writes one after the other, and a read after the
//! writes that may affect its result. A call that fails for a transient reason is retried for [`Options::retry_for`]. A write is
//! retried only if the server certainly has not processed it, or recognizes it by its id; otherwise it fails with
//! [`Error::OutcomeUnknown`](openkv_engine::Error::OutcomeUnknown).
//!
//! With a server that does not support the extension, messages can be enqueued but are not delivered, and ranges are counted and
//! deleted by reading them.

mod backend;
mod backoff;
mod batch;
mod call;
mod conditions;
mod connector;
mod error;
mod frames;
mod metadata;
mod network;
mod options;
mod queue;
mod reads;
mod session;
mod transport;
mod watch;
mod writer;

use std::sync::Arc;

use openkv_engine::{BoxFuture, Database, remote};

use backend::Client;
use session::Session;

pub use error::{CallError, MetadataError, OpenError};
pub use network::{Connecting, Network, Stream, Tcp};
pub use options::{Options, Permit};

/// Opens the database of a URL, and fetches its metadata from the server.
///
/// # Errors
/// [`Error::Connect`](openkv_engine::Error::Connect) if that fails, see [`OpenError`]; the error of [`Options::permit`].
pub fn connect(url: &str, options: Options) -> BoxFuture<Database> {
    let url = url.to_owned();
    let runtime = options.runtime.clone().map_or_else(remote::runtime, Ok);
    Box::pin(async move {
        let runtime = runtime?;
        let opening = runtime.clone();
        let opened = runtime.spawn(async move {
            let session = Arc::new(Session::open(&url, options).await?);
            Ok(Client::open(session, opening))
        });
        opened.await.map_err(|_| CallError::Stopped)?
    })
}
