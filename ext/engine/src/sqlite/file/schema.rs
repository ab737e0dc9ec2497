//! The tables of the file format, and the migrations of older files. See `docs/file-format.md`.

use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior};

use crate::{Error, Result};

/// The migrations from each version to the next, beginning with an empty file.
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

/// Creates the table of commit ids: only with the first id, so that a file without ids is what Deno creates.
pub(crate) const CREATE_COMMIT_IDS: &str = "create table if not exists openkv_commit_ids (
  version integer primary key,
  id blob not null unique,
  committed_at integer not null
)";

/// Creates the table of the database's id: only when it is first requested, so that a file without it is what Deno creates.
pub(crate) const CREATE_DATABASE_ID: &str = "create table if not exists openkv_database_id (
  k integer primary key,
  id blob not null
)";

/// The condition that an entry has not expired at the time in a parameter. `expiration_ms` is -1 for an entry that does not expire.
/// An expired entry counts as absent, whether or not the sweep has removed it yet.
macro_rules! live {
    ($now:literal) => {
        concat!("(expiration_ms < 0 or expiration_ms > ", $now, ")")
    };
}
pub(crate) use live;

/// The current version of the format.
pub(crate) const KNOWN: i64 = MIGRATIONS.len() as i64;

/// A table of the format: its name, the columns and constraints that it may have in any version, and the suffix of its SQL. All
/// [normalized](normalize).
type Table = (&'static str, &'static [&'static str], &'static str);

const TABLES: [Table; 7] = [
    ("migration_state", &["k integer not null primary key", "version integer not null"], ""),
    ("data_version", &["k integer primary key", "version integer not null", "seq integer not null default 0"], ""),
    (
        "kv",
        &[
            "k blob primary key",
            "v blob not null",
            "v_encoding integer not null",
            "version integer not null",
            "seq integer not null default 0",
            "expiration_ms integer not null default-1",
        ],
        "without rowid",
    ),
    (
        "queue",
        &[
            "ts integer not null",
            "id text not null",
            "data blob not null",
            "backoff_schedule text not null",
            "keys_if_undelivered blob not null",
            "primary key(ts,id)",
        ],
        "",
    ),
    (
        "queue_running",
        &[
            "deadline integer not null",
            "id text not null",
            "data blob not null",
            "backoff_schedule text not null",
            "keys_if_undelivered blob not null",
            "primary key(deadline,id)",
        ],
        "",
    ),
    ("openkv_database_id", &["k integer primary key", "id blob not null"], ""),
    (
        "openkv_commit_ids",
        &["version integer primary key", "id blob not null unique", "committed_at integer not null"],
        "",
    ),
];

/// The index of the format, normalized.
const INDEX: &str = "create index kv_expiration_ms_idx on kv(expiration_ms)";

/// All objects except triggers, which are disabled.
const OBJECTS: &str = "select type, name, tbl_name, sql from sqlite_schema where type <> 'trigger'";

/// Checks that the tables are those of the format, without foreign objects on them. A generated column or an index on an expression
/// runs foreign code with every read or write.
///
/// # Errors
/// [`Error::ForeignObject`].
pub(crate) fn reject_foreign(connection: &Connection) -> Result<()> {
    let mut statement = connection.prepare(OBJECTS)?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let text = |column| Ok::<_, rusqlite::Error>(row.get_ref(column)?.as_str_or_null()?.unwrap_or_default());
        let (kind, name, table, sql) = (text(0)?, text(1)?, text(2)?, text(3)?);
        let Some(table) = TABLES.iter().find(|(name, ..)| name.eq_ignore_ascii_case(table)) else {
            continue;
        };
        // The index of a constraint has no SQL.
        if !sql.is_empty() && !is_expected(table, &normalize(sql)) {
            return Err(Error::ForeignObject { object: format!("{kind} {name}") });
        }
    }
    Ok(())
}

fn is_expected((name, parts, suffix): &Table, sql: &str) -> bool {
    let body = sql.strip_prefix("create table ").and_then(|sql| sql.strip_prefix(name)?.strip_prefix('('));
    match body.and_then(|body| body.strip_suffix(suffix)?.strip_suffix(')')) {
        Some(body) => split_list(body).all(|part| parts.contains(&part)),
        None => sql == INDEX,
    }
}

/// Returns SQL in lower case, with whitespace between words only. String literals and comments are not preserved: the format has
/// none.
fn normalize(sql: &str) -> String {
    let is_word = |c: char| c == '_' || c.is_alphanumeric();
    let mut normalized = String::with_capacity(sql.len());
    for word in sql.split_ascii_whitespace() {
        if normalized.ends_with(is_word) && word.starts_with(is_word) {
            normalized.push(' ');
        }
        normalized.extend(word.chars().map(|c| c.to_ascii_lowercase()));
    }
    normalized
}

/// Splits a list at its commas, except those within parentheses.
fn split_list(list: &str) -> impl Iterator<Item = &str> {
    let mut depth = 0;
    list.split(move |c| {
        match c {
            '(' => depth += 1,
            ')' => depth -= 1,
            _ => {}
        }
        c == ',' && depth == 0
    })
}

/// Migrates a file to the current version. An existing file must have passed [`reject_foreign`].
pub(crate) fn migrate(connection: &Connection) -> Result<()> {
    if version(connection)? == KNOWN {
        return Ok(());
    }
    // Another process may be doing the same: the version is read again under the lock.
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

/// Checks that a file has the current version, and no [foreign objects](reject_foreign).
pub(crate) fn check(connection: &Connection) -> Result<()> {
    reject_foreign(connection)?;
    match version(connection)? {
        KNOWN => Ok(()),
        found if found > KNOWN => Err(Error::NewerFormat { found, known: KNOWN }),
        _ => Err(Error::ReadOnly),
    }
}

/// Returns the version of a file, or 0 for an empty one.
pub(crate) fn version(connection: &Connection) -> Result<i64> {
    const VERSION: &str = "select version from migration_state where k = 0";
    if let Ok(version) = connection.query_row(VERSION, [], |row| row.get(0)) {
        return Ok(version);
    }
    // The table may be missing. A query of the schema sees the changes of other processes, while the lookup of a table by SQLite
    // may not.
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
    fn tables_of_every_version_are_accepted() {
        let connection = Connection::open_in_memory().unwrap();
        for migration in MIGRATIONS {
            connection.execute_batch(migration).unwrap();
            reject_foreign(&connection).unwrap();
        }
        connection.execute_batch(CREATE_COMMIT_IDS).unwrap();
        connection.execute_batch(CREATE_DATABASE_ID).unwrap();
        reject_foreign(&connection).unwrap();
    }

    #[test]
    fn foreign_objects_on_the_tables_are_rejected_by_name() {
        for (foreign, object) in [
            ("create index other on kv (length(v))", "index other"),
            ("create unique index other on queue (ts)", "index other"),
            ("alter table kv add column more as (length(v))", "table kv"),
            ("drop table kv; create view KV as select 1 as k", "view KV"),
            ("drop table queue; create table Queue (ts integer not null check (ts > 0))", "table Queue"),
            ("drop table migration_state; create table migration_state (k, version as (3))", "table migration_state"),
            ("drop table kv; create table kv (k blob primary key collate nocase) without rowid", "table kv"),
            ("drop table kv; create table kv as select 1 as k", "table kv"),
            ("create table openkv_commit_ids (version, id, committed_at)", "table openkv_commit_ids"),
            (
                "drop index kv_expiration_ms_idx; create index kv_expiration_ms_idx on kv (expiration_ms) where k > 1",
                "index kv_expiration_ms_idx",
            ),
        ] {
            let connection = Connection::open_in_memory().unwrap();
            migrate(&connection).unwrap();
            connection.execute_batch(foreign).unwrap();
            match reject_foreign(&connection) {
                Err(Error::ForeignObject { object: named }) => assert_eq!(named, object, "{foreign}"),
                result => panic!("{foreign}: {result:?}"),
            }
        }
    }

    #[test]
    fn foreign_tables_are_accepted() {
        let connection = Connection::open_in_memory().unwrap();
        migrate(&connection).unwrap();
        let foreign = "create table other (kv blob references kv); create index more on other (kv);
            create view seen as select * from kv; create trigger heard after insert on kv begin select 1; end";
        connection.execute_batch(foreign).unwrap();
        reject_foreign(&connection).unwrap();
    }

    #[test]
    fn concurrent_migration_runs_once() {
        let directory = tempfile::tempdir().unwrap();
        let open = || Connection::open(directory.path().join("kv.sqlite3")).unwrap();
        let (first, second) = (open(), open());
        // The first has seen the empty file when the second migrates it.
        assert_eq!(version(&first).unwrap(), 0);
        migrate(&second).unwrap();
        migrate(&first).unwrap();
        assert_eq!(version(&first).unwrap(), KNOWN);
    }
}
