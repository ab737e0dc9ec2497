//! Creates and migrates the tables.

use openkv_engine::Error;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::Type;

use crate::connection::Connection;
use crate::error::{Failure, OpenError, describe};
use crate::sql::{EXISTS, LAYOUT, LOCK_SCHEMAS, Sql};

/// What a database stores about itself.
pub(crate) struct State {
    pub id: [u8; 16],
    /// The version of the last commit.
    pub version: i64,
}

/// Creates the tables if they do not exist, or migrates those of an older layout. Returns the state.
pub(crate) async fn prepare(connection: &Connection, sql: &Sql, schema: &str, address: &str) -> Result<State, Failure> {
    let mut layout = layout(connection, sql, schema, address).await?;
    if layout.as_ref().is_none_or(|(layout, _)| *layout < LAYOUT) {
        migrate(connection, sql, schema).await.map_err(|error| not_created(error, address))?;
        layout = self::layout(connection, sql, schema, address).await?;
    }
    match layout {
        Some((found, _)) if found > LAYOUT => {
            let address = address.to_owned();
            Err(Failure::Final(OpenError::NewerLayout { address, found, known: LAYOUT }.into()))
        }
        Some((_, state)) => Ok(state),
        None => Err(Failure::Final(failed("the tables were dropped".to_owned(), address))),
    }
}

fn failed(why: String, address: &str) -> Error {
    OpenError::Failed { address: address.to_owned(), why }.into()
}

/// Returns the version of the layout and the state, or `None` if there are no tables.
async fn layout(
    connection: &Connection,
    sql: &Sql,
    schema: &str,
    address: &str,
) -> Result<Option<(i32, State)>, Failure> {
    let exists = connection.client.query_typed_one(EXISTS, &[(&schema, Type::TEXT)]).await;
    let exists = exists.map_err(|error| opening(error, address))?;
    if !exists.get::<_, bool>(0) {
        return Ok(None);
    }
    let row = match connection.client.query_typed_opt(&sql.state, &[]).await {
        Ok(row) => row,
        Err(error) if error.code() == Some(&SqlState::INSUFFICIENT_PRIVILEGE) => {
            let (address, why) = (address.to_owned(), describe(&error));
            return Err(Failure::Final(OpenError::NotGranted { address, why }.into()));
        }
        Err(error) => return Err(opening(error, address)),
    };
    let row = row.ok_or_else(|| Failure::Final(failed("its table \"state\" is empty".to_owned(), address)))?;
    let id: &[u8] = row.get(1);
    let id = id.try_into().map_err(|_| Failure::Final(failed("its id is not 16 bytes".to_owned(), address)))?;
    Ok(Some((row.get(0), State { id, version: row.get(2) })))
}

/// Creates or migrates the tables, in one transaction. Others that do the same at this time wait.
async fn migrate(connection: &Connection, sql: &Sql, schema: &str) -> Result<(), tokio_postgres::Error> {
    let client = &connection.client;
    client.batch_execute("begin").await?;
    let migrated = async {
        client.batch_execute(LOCK_SCHEMAS).await?;
        let exists = client.query_typed_one(EXISTS, &[(&schema, Type::TEXT)]).await?;
        let layout = if exists.get(0) {
            client.query_typed_one(&sql.state, &[]).await?.get::<_, i32>(0)
        } else {
            // Fails without the privilege to create schemas, even if this one exists.
            let found = "select from pg_catalog.pg_namespace where nspname = $1";
            if client.query_typed(found, &[(&schema, Type::TEXT)]).await?.is_empty() {
                client.batch_execute(&format!("create schema \"{schema}\"")).await?;
            }
            0
        };
        for migration in sql.layouts.iter().skip(layout.max(0) as usize) {
            client.batch_execute(migration).await?;
        }
        client.batch_execute("commit").await
    };
    let migrated = migrated.await;
    if migrated.is_err() {
        // Fails if the connection is lost, which also ends the transaction.
        let _ = client.batch_execute("rollback").await;
    }
    migrated
}

fn not_created(error: tokio_postgres::Error, address: &str) -> Failure {
    let denied = [SqlState::INSUFFICIENT_PRIVILEGE, SqlState::READ_ONLY_SQL_TRANSACTION];
    if error.code().is_some_and(|code| denied.contains(code)) {
        let (address, why) = (address.to_owned(), describe(&error));
        return Failure::Final(OpenError::NotCreated { address, why }.into());
    }
    opening(error, address)
}

/// Returns the failure of a statement that opens a database.
fn opening(error: tokio_postgres::Error, address: &str) -> Failure {
    let why = describe(&error);
    match Failure::from(error) {
        Failure::Transient(error) => Failure::Transient(error),
        Failure::Data(_) | Failure::Final(_) => Failure::Final(failed(why, address)),
    }
}
