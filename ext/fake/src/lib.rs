//! A backend of the engine for tests: entries in memory, behind a server that answers late, fails, and loses answers on demand, as
//! one on another machine does.
//!
//! [`open`] connects to the server of a name, a thread of this process, and starts it where there is none. Requests reach it in the
//! order of the calls, each some time after it was made; answers come after some time of their own, and so in any order. What fails,
//! and when, is drawn from a seed, or planned by [`Options::fault`].
//!
//! It has no means of its own to count entries or to delete ranges: the database's are tried with it.
//!
//! ```
//! use futures_executor::block_on;
//! use openkv_engine::{Error, Key, Value};
//! use openkv_fake::{Fault, Options, open};
//!
//! // The answer to the first request is lost, that to the opening not counted.
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

/// The servers that have a name. They run as long as the process, as a database outlives its clients.
static SERVERS: LazyLock<Mutex<HashMap<String, mpsc::Sender<Request>>>> = LazyLock::new(Mutex::default);

/// Connects to the server of a name: all that open it in this process see the same data. `:memory:` has a server for each call.
///
/// A server goes by the options with which it was started.
///
/// # Errors
/// The future fails where the connection does, on demand.
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
