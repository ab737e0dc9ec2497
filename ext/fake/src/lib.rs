//! A backend of the engine for tests. It stores entries in memory, in a server with injected delays, failures and lost replies,
//! like those of a remote one.
//!
//! [`open`] connects to a named server, a thread of this process, which is started if necessary. Requests arrive in the order
//! of the calls, each after a delay; replies have delays of their own, so they arrive in any order. Faults are drawn from a
//! seed, or planned with [`Options::fault`].
//!
//! The backend does not support counting entries or deleting ranges, so that the fallbacks of the database are tested with it.
//!
//! ```
//! use futures_executor::block_on;
//! use openkv_engine::{Error, Key, Value};
//! use openkv_fake::{Fault, Options, open};
//!
//! // The reply to the first request is lost. Opening does not count as a request.
//! let options = Options::default().fault(0, Fault::Lose);
//! let database = block_on(open(":memory:", options))?;
//! let key = Key::from(["a"]);
//! assert!(matches!(block_on(database.set(key.clone(), Value::U64(1))), Err(Error::OutcomeUnknown(_))));
//! assert_eq!(block_on(database.get(&key))?.expect("it was set").value, Value::U64(1));
//! # Ok::<(), Error>(())
//! ```

mod client;
mod faults;
mod options;
mod queue;
mod server;
mod store;

use std::collections::HashMap;
use std::sync::{LazyLock, mpsc};

use openkv_engine::{BoxFuture, Database};
use parking_lot::Mutex;

use crate::client::Client;
use crate::server::{Request, Server};

pub use faults::{Fault, Injected};
pub use options::{Events, Options, ParseOptionsError};

/// The named servers. They run until the process exits, because a database outlives its clients.
static SERVERS: LazyLock<Mutex<HashMap<String, mpsc::Sender<Request>>>> = LazyLock::new(Mutex::default);

/// Connects to a named server: all databases of this process with the same name share their data. Each call with `:memory:`
/// starts a new server.
///
/// A server keeps the options with which it was started.
///
/// # Errors
/// The future returns an injected error of the connection.
pub fn open(name: &str, options: Options) -> BoxFuture<Database> {
    let (limits, events) = (options.limits.clone(), options.events);
    let server = if name == ":memory:" {
        Server::start(options)
    } else {
        SERVERS.lock().entry(name.to_owned()).or_insert_with(|| Server::start(options)).clone()
    };
    let (client, opened) = Client::connect(server, events);
    let database = Database::new(client, limits);
    Box::pin(async move { opened.await.map(|()| database) })
}
