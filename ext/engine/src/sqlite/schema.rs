//! The tables of the file format, and how older files are brought to them. See `docs/file-format.md`.

use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior};

use crate::{Error, Result};

/// What makes a file of each version out of one of the version before, from the empty file on.
const MIGRATIONS: [&str; 3] = [
    "create table data_version (
       k integer primary key,
       version integer not null
     );
     insert into data_version (k, version) values (0, 0);
     create table kv (
       k blob primary key,
       v blob not null,
       v_encoding integer not null,
       version integer not null
     ) without rowid;",
    "create table queue (
       ts integer not null,
       id text not null,
       data blob not null,
       backoff_schedule text not null,
       keys_if_undelivered blob not null,
       primary key (ts, id)
     );
     create table queue_running (
       deadline integer not null,
       id text not null,
       data blob not null,
       backoff_schedule text not null,
       keys_if_undelivered blob not null,
       primary key (deadline, id)
     );",
    "alter table kv add column seq integer not null default 0;
     alter table data_version add column seq integer not null default 0;
     alter table kv add column expiration_ms integer not null default -1;
     create index kv_expiration_ms_idx on kv (expiration_ms);",
];

/// The condition that an entry has not expired, at the time of a parameter. `expiration_ms` is -1 for never. An entry that
/// has expired is absent, whether or not the sweep has removed it yet.
macro_rules! live {
    ($now:literal) => {
        concat!("(expiration_ms < 0 or expiration_ms > ", $now, ")")
    };
}
pub(super) use live;

/// The present version of the format.
pub(super) const KNOWN: i64 = MIGRATIONS.len() as i64;

/// Brings a file to the present version.
pub(super) fn migrate(connection: &Connection) -> Result<()> {
    if version(connection)? == KNOWN {
        return Ok(());
    }
    // Another process may be doing the same: the version is read again once no one else can.
    let transaction = Transaction::new_unchecked(connection, TransactionBehavior::Immediate)?;
    let found = version(&transaction)?;
    if found > KNOWN {
        return Err(Error::NewerFormat { found, known: KNOWN });
    }
    transaction.execute_batch(
        "create table if not exists migration_state (
           k integer not null primary key,
           version integer not null
         )",
    )?;
    for migration in &MIGRATIONS[found.max(0) as usize..] {
        transaction.execute_batch(migration)?;
    }
    transaction.execute("replace into migration_state (k, version) values (0, ?1)", [KNOWN])?;
    Ok(transaction.commit()?)
}

/// Checks that a file that cannot be written has the present version.
pub(super) fn check(connection: &Connection) -> Result<()> {
    match version(connection)? {
        KNOWN => Ok(()),
        found if found > KNOWN => Err(Error::NewerFormat { found, known: KNOWN }),
        _ => Err(Error::ReadOnly),
    }
}

/// The version of a file, 0 for an empty one.
pub(super) fn version(connection: &Connection) -> Result<i64> {
    const VERSION: &str = "select version from migration_state where k = 0";
    if let Ok(version) = connection.query_row(VERSION, [], |row| row.get(0)) {
        return Ok(version);
    }
    // Without the table, for instance. Whether it is there says a statement, which sees what others did to the schema:
    // SQLite's own look-up of a table may not.
    let table = "select 1 from sqlite_schema where type = 'table' and name = 'migration_state'";
    if connection.query_row(table, [], |_| Ok(())).optional()?.is_none() {
        return Ok(0);
    }
    let version = connection.query_row(VERSION, [], |row| row.get(0));
    Ok(version.optional()?.unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_another_process_migrates_meanwhile_is_left_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let open = || Connection::open(folder.path().join("kv.sqlite3")).unwrap();
        let (first, second) = (open(), open());
        // The first has seen the empty file when the second migrates it.
        assert_eq!(version(&first).unwrap(), 0);
        migrate(&second).unwrap();
        migrate(&first).unwrap();
        assert_eq!(version(&first).unwrap(), KNOWN);
    }
}
