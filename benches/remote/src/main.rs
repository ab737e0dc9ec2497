//! Measures a remote backend, and its service by hand. `cargo xtask bench` runs it, and decides what is measured when.
//!
//! The argument is `etcd` or `postgres`. A throw-away cluster is started on loopback. Each line of standard input is `backend` or
//! `service`, a space, and the name of a measure; the response is a line with its operations per second.

mod backend;
mod etcd;
mod measure;
mod postgres;
mod store;

use std::process::ExitCode;

use openkv_engine::Database;
use openkv_etcd::cluster::Cluster;
use openkv_postgres::cluster::{Programs, Server};
use tokio::io::{AsyncBufReadExt, BufReader, stdin};

use crate::etcd::Etcd;
use crate::postgres::Postgres;
use crate::store::{Result, Store};

#[tokio::main]
async fn main() -> ExitCode {
    let result = match std::env::args().nth(1).as_deref() {
        Some("etcd") => etcd().await,
        Some("postgres") => postgres().await,
        service => Err(format!("unknown service {service:?}: choose etcd or postgres").into()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("openkv_bench: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn etcd() -> Result {
    let cluster = Cluster::start().ok_or("etcd is not installed")?;
    let nodes = cluster.url("");
    let address = nodes.trim_start_matches("etcd://").split([',', '/']).next().unwrap_or_default();
    // Both use the same node: the leader is faster than the others.
    let url = format!("etcd://{address}/{}", etcd::DATABASE);
    let database = openkv_etcd::open(&url, openkv_etcd::Options::default()).await?;
    serve(&database, &Etcd::connect(address).await?).await
}

async fn postgres() -> Result {
    let primary = Server::primary(&Programs::find()?, "")?;
    let standby = primary.standby("")?;
    primary.require_standby()?;
    let url = primary.url(postgres::SCHEMA).replace(&primary.host(), &format!("{},{}", primary.host(), standby.host()));
    let address = openkv_postgres::Address::parse(&url)?;
    let database = openkv_postgres::open(address, openkv_postgres::Options::default()).await?;
    serve(&database, &Postgres::connect(primary.port, standby.port).await?).await
}

/// Measures what is requested.
async fn serve(backend: &Database, service: &impl Store) -> Result {
    let mut lines = BufReader::new(stdin()).lines();
    while let Some(line) = lines.next_line().await? {
        let rate = match line.split_once(' ') {
            Some(("backend", name)) => measure::measure(name, backend, backend).await?,
            Some(("service", name)) => measure::measure(name, service, backend).await?,
            _ => return Err(format!("unknown request {line:?}").into()),
        };
        println!("{rate}");
    }
    Ok(())
}
