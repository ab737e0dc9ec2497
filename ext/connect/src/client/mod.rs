//! The client: a backend of the engine whose entries are on a server.
//!
//! [`connect`] opens the database of a URL. It speaks versions 1 to 3 of the protocol, over HTTP/2 or HTTP/1.1, and with a server
//! of this crate its extension.
//!
//! Calls take effect in the order in which they are made, as with any backend: writes one after the other, and a read after the
//! writes that may change what it finds. A call that fails is tried again while that may help, for
//! [`Options::retry_for`]. A write is sent again only if it certainly was not processed, or the server recognizes it by its id;
//! otherwise it fails with [`Error::OutcomeUnknown`](openkv_engine::Error::OutcomeUnknown).
//!
//! Where the server does not know the extension, its queue takes messages but delivers none, and the database counts entries and
//! deletes ranges by reading them.

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
mod order;
mod queue;
mod reads;
mod runtime;
mod session;
mod transport;
mod watch;
mod writer;

use std::sync::Arc;

use openkv_engine::{BoxFuture, Database};

use backend::Client;
use session::Session;

pub use error::{CallError, MetadataError, OpenError};
pub use network::{Connecting, Network, Stream, Tcp};
pub use options::{Options, Permit};

/// Opens the database of a URL, which is reached then.
///
/// # Errors
/// [`Error::Connect`](openkv_engine::Error::Connect) where there is no such database: see [`OpenError`]. The error of
/// [`Options::permit`].
pub fn connect(url: &str, options: Options) -> BoxFuture<Database> {
    let url = url.to_owned();
    let runtime = options.runtime.clone().map_or_else(runtime::shared, Ok);
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
