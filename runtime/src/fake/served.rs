use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::sync::{Arc, LazyLock};

use openkv_connect::client::{self, connect};
use openkv_connect::server::{Options, Served, Server};
use openkv_engine::sqlite::{self, Location};
use openkv_engine::{BoxFuture, Cause, Database, Error, Result};
use parking_lot::Mutex;
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::OnceCell;

use super::denokv;

/// The server of a database.
#[derive(Clone, Copy)]
pub enum Peer {
    /// A server of ours in this process.
    OpenKv,
    /// A `denokv` server.
    Denokv,
}

/// The runtime of the servers, which lives as long as the process.
static RUNTIME: LazyLock<std::io::Result<Runtime>> =
    LazyLock::new(|| Builder::new_multi_thread().worker_threads(1).enable_all().build());

/// The URLs of the named databases.
static NAMED: LazyLock<Mutex<HashMap<String, Arc<OnceCell<String>>>>> = LazyLock::new(Mutex::default);

/// Opens a database in memory through the client of KV Connect and a server: the one with a name, or for `:memory:` a new one
/// each time.
pub fn open(name: &str, peer: Peer) -> BoxFuture<Database> {
    let url =
        if name == ":memory:" { Arc::default() } else { NAMED.lock().entry(name.to_owned()).or_default().clone() };
    Box::pin(async move {
        let runtime = RUNTIME.as_ref().map_err(|error| failed(std::io::Error::other(error)))?;
        let serve = async move || match peer {
            Peer::OpenKv => serve().await,
            Peer::Denokv => tokio::task::spawn_blocking(denokv::start).await.map_err(failed)?.map_err(failed),
        };
        let serving = runtime.spawn(async move { url.get_or_try_init(serve).await.cloned() });
        let url = serving.await.map_err(failed)??;
        connect(&url, client::Options::new(denokv::TOKEN)).await
    })
}

/// Serves a database. Returns its URL.
async fn serve() -> Result<String> {
    let database = sqlite::open(Location::Memory, sqlite::Options::default())?;
    let server = Server::new(vec![Served::new("main", database)], Options::default()).await.map_err(failed)?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    server.listen(listener).map_err(failed)?;
    Ok(format!("http://{address}/main"))
}

fn failed(error: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::Storage(Cause::new(error))
}
