//! A backend of OpenKV's engine over etcd: a database for small data that survives the loss of any node of a cluster.
//!
//! [`open`] opens the database of a URL. The client fails over between the nodes, and repeats calls for
//! [`Options::retry_for`]; a write whose response was lost is committed exactly once. See docs/etcd.md for the layout and
//! for the operation of a cluster.

mod backend;
mod client;
#[cfg(feature = "cluster")]
pub mod cluster;
mod commit;
mod core;
mod deadline;
mod description;
mod environment;
mod error;
mod layout;
mod lease;
mod message;
mod options;
mod queue;
mod read;
mod splits;
mod sweep;
mod transfer;
mod unit;
mod url;
mod view;
mod watch;
mod writer;

use std::mem;
use std::sync::Arc;

use openkv_engine::{BoxFuture, Database, Error, Order, remote};
use parking_lot::Mutex;

use crate::backend::Etcd;
use crate::client::Client;
use crate::core::Core;
use crate::description::Description;
use crate::layout::Keys;
use crate::splits::Splits;

pub use environment::Environment;
pub use error::{EtcdError, OpenError};
pub use options::{Credentials, Options};
pub use url::{Address, DatabaseUrl};

/// Opens the database of a URL, and creates it if it does not exist.
///
/// # Errors
/// [`Error::Connect`] if that fails, see [`OpenError`].
pub fn open(url: &str, options: Options) -> BoxFuture<Database> {
    let text = url.to_owned();
    Box::pin(async move {
        let url = DatabaseUrl::parse(&text)?;
        let mut options = options;
        let options = mem::take(&mut options.environment).complete(options)?;
        if url.tls && options.tls.is_none() {
            return Err(OpenError::NoCertificates { url: text }.into());
        }
        let runtime = options.runtime.clone().map_or_else(remote::runtime, Ok)?;
        let handle = runtime.clone();
        let opening = runtime.spawn(async move {
            let client = Arc::new(Client::new(&url, &options));
            let keys = Keys::new(&url.name);
            let description = Description::open(&client, &keys, &text, &options).await?;
            let limits = options.limits.clone();
            let interval = options.sweep_interval;
            let core = Arc::new(Core {
                client,
                keys,
                url: text,
                options,
                runtime: handle.clone(),
                description: Mutex::new(description),
                order: Arc::new(Order::default()),
                splits: Splits::default(),
            });
            handle.spawn(sweep::run(Arc::downgrade(&core), interval));
            Ok(Database::new(Etcd::new(core), limits))
        });
        opening.await.map_err(|_| Error::from(EtcdError::Stopped))?
    })
}
