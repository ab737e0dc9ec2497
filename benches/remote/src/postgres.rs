//! PostgreSQL by hand, with prepared statements.

use std::future::poll_fn;
use std::ops::Range;

use futures_util::future::try_join_all;
use openkv_postgres::cluster::USER;
use tokio::sync::{Mutex, mpsc};
use tokio_postgres::{AsyncMessage, Client, NoTls, Statement};

use crate::store::{IN_FLIGHT, LIMIT, LISTS, Result, Store, VALUE, key, selector, written};

/// The schema of the backend.
pub const SCHEMA: &str = "bench";

const TABLES: &str = "
    create table plain (key bytea primary key, value bytea not null);
    create table messages (id bigint generated always as identity primary key, message bytea not null, lease bigint);
    listen changes;";

/// A connection to the primary, and one to the standby.
pub struct Postgres {
    primary: Client,
    standby: Client,
    /// The notifications of changes.
    changes: Mutex<mpsc::UnboundedReceiver<()>>,
    set: Statement,
    set_all: Statement,
    get: Statement,
    get_from_standby: Statement,
    forwards: Statement,
    backwards: Statement,
    change: Statement,
    enqueue: Statement,
    claim: Statement,
    delete: Statement,
}

impl Postgres {
    /// Connects to both servers, and creates the tables.
    pub async fn connect(primary: u16, standby: u16) -> Result<Self> {
        let (primary, changes) = connect(primary).await?;
        let (standby, _) = connect(standby).await?;
        primary.batch_execute(TABLES).await?;
        let set = "insert into plain select * from unnest($1::bytea[], $2::bytea[])
            on conflict (key) do update set value = excluded.value";
        let get = format!("select value, encoding, version, expires_at from {SCHEMA}.entries where key = $1");
        let list = format!(
            "select key, value, encoding, version, expires_at from {SCHEMA}.entries where key >= $1 and key < $2
             order by key"
        );
        Ok(Self {
            changes: Mutex::new(changes),
            set: primary
                .prepare("insert into plain values ($1, $2) on conflict (key) do update set value = excluded.value")
                .await?,
            set_all: primary.prepare(set).await?,
            get: primary.prepare(&get).await?,
            get_from_standby: standby.prepare(&get).await?,
            forwards: primary.prepare(&format!("{list} limit {LIMIT}")).await?,
            backwards: primary.prepare(&format!("{list} desc limit {LIMIT}")).await?,
            change: primary
                .prepare(
                    "with changed as (insert into plain values ('watched', $1)
                     on conflict (key) do update set value = excluded.value returning key)
                     select pg_notify('changes', '') from changed",
                )
                .await?,
            enqueue: primary.prepare("insert into messages (message) values ($1)").await?,
            claim: primary
                .prepare(&format!(
                    "update messages set lease = 1 where id in (select id from messages where lease is null
                     order by id limit {IN_FLIGHT} for update skip locked) returning id, message"
                ))
                .await?,
            delete: primary.prepare("delete from messages where id = any($1)").await?,
            primary,
            standby,
        })
    }
}

async fn connect(port: u16) -> Result<(Client, mpsc::UnboundedReceiver<()>)> {
    let parameters = format!("host=127.0.0.1 port={port} user={USER} dbname=postgres");
    let (client, mut connection) = tokio_postgres::connect(&parameters, NoTls).await?;
    let (sender, changes) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Some(Ok(message)) = poll_fn(|context| connection.poll_message(context)).await {
            if matches!(message, AsyncMessage::Notification(_)) {
                // Fails at the end of the program.
                let _ = sender.send(());
            }
        }
    });
    Ok((client, changes))
}

impl Store for Postgres {
    async fn set(&self, number: u64) -> Result {
        self.primary.execute(&self.set, &[&written(number).as_bytes(), &VALUE]).await?;
        Ok(())
    }

    async fn set_all(&self, numbers: Range<u64>) -> Result {
        for first in numbers.clone().step_by(IN_FLIGHT) {
            let batch = first..numbers.end.min(first + IN_FLIGHT as u64);
            let keys: Vec<_> = batch.map(|number| written(number).into_bytes()).collect();
            let values = vec![VALUE; keys.len()];
            self.primary.execute(&self.set_all, &[&keys, &values]).await?;
        }
        Ok(())
    }

    async fn get(&self, number: u64, is_eventual: bool) -> Result<bool> {
        let key = key(LISTS[0], number);
        let (client, get) =
            if is_eventual { (&self.standby, &self.get_from_standby) } else { (&self.primary, &self.get) };
        Ok(client.query_opt(get, &[&key.as_bytes()]).await?.is_some())
    }

    async fn list(&self, size: u64, is_reverse: bool) -> Result<usize> {
        let (start, end) = selector(size).range(None, false)?;
        let list = if is_reverse { &self.backwards } else { &self.forwards };
        Ok(self.primary.query(list, &[&start, &end]).await?.len())
    }

    async fn watch(&self, changes: u64) -> Result {
        let mut notifications = self.changes.lock().await;
        for _ in 0..changes {
            self.primary.query(&self.change, &[&VALUE]).await?;
            notifications.recv().await.ok_or("the connection is lost")?;
        }
        Ok(())
    }

    async fn queue(&self, messages: u64) -> Result {
        for _ in 0..messages / IN_FLIGHT as u64 {
            self.primary.batch_execute("begin").await?;
            try_join_all((0..IN_FLIGHT).map(|_| self.primary.execute_raw(&self.enqueue, [VALUE]))).await?;
            self.primary.batch_execute("commit").await?;
        }
        loop {
            let claimed = self.primary.query(&self.claim, &[]).await?;
            if claimed.is_empty() {
                return Ok(());
            }
            let ids: Vec<i64> = claimed.iter().map(|row| row.get(0)).collect();
            self.primary.execute(&self.delete, &[&ids]).await?;
        }
    }
}
