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

/// Makes the table of the ids of commits: with the first of these, so that a file without them is as Deno makes it.
pub(crate) const CREATE_COMMIT_IDS: &str = "create table if not exists openkv_commit_ids (
  version integer primary key,
  id blob not null unique,
  committed_at integer not null
)";

/// Makes the table of the id of the database: when it is first asked for, so that a file without it is as Deno makes it.
pub(crate) const CREATE_DATABASE_ID: &str = "create table if not exists openkv_database_id (
  k integer primary key,
  id blob not null
)";

/// The condition that an entry has not expired, at the time of a parameter. `expiration_ms` is -1 for never. An entry that
/// has expired is absent, whether or not the sweep has removed it yet.
macro_rules! live {
    ($now:literal) => {
        concat!("(expiration_ms < 0 or expiration_ms > ", $now, ")")
    };
}
pub(crate) use live;

/// The present version of the format.
pub(crate) const KNOWN: i64 = MIGRATIONS.len() as i64;

/// A table of ours: its name, what it may be made of in any version, columns and constraints, and what its text ends with. All
/// of it [normalized](normalize).
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

/// The one index, normalized.
const INDEX: &str = "create index kv_expiration_ms_idx on kv(expiration_ms)";

/// All objects but triggers, which are switched off.
const OBJECTS: &str = "select type, name, tbl_name, sql from sqlite_schema where type <> 'trigger'";

/// Refuses a file in which the tables are not as the format has them, or others have put something on them. A generated
/// column or an index on an expression runs code of whoever made it, with every read or write.
///
/// # Errors
/// [`Error::ForeignObject`].
pub(crate) fn refuse_foreign(connection: &Connection) -> Result<()> {
    let mut statement = connection.prepare(OBJECTS)?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let text = |column| Ok::<_, rusqlite::Error>(row.get_ref(column)?.as_str_or_null()?.unwrap_or_default());
        let (kind, name, table, sql) = (text(0)?, text(1)?, text(2)?, text(3)?);
        let Some(table) = TABLES.iter().find(|(name, ..)| name.eq_ignore_ascii_case(table)) else {
            continue;
        };
        // An index that a table's own constraints make has no text.
        if !sql.is_empty() && !is_ours(table, &normalize(sql)) {
            return Err(Error::ForeignObject { object: format!("{kind} {name}") });
        }
    }
    Ok(())
}

fn is_ours((name, parts, suffix): &Table, sql: &str) -> bool {
    let body = sql.strip_prefix("create table ").and_then(|sql| sql.strip_prefix(name)?.strip_prefix('('));
    match body.and_then(|body| body.strip_suffix(suffix)?.strip_suffix(')')) {
        Some(body) => split_list(body).all(|part| parts.contains(&part)),
        None => sql == INDEX,
    }
}

/// SQL in lower case, without white space but between words. Text and comments do not come out the same, and there are none in
/// ours.
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

/// The parts of a list between commas, those within parentheses aside.
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

/// Brings a file to the present version. One that is there must not be [foreign](refuse_foreign).
pub(crate) fn migrate(connection: &Connection) -> Result<()> {
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

/// Checks that a file has the present version, and is not [foreign](refuse_foreign).
pub(crate) fn check(connection: &Connection) -> Result<()> {
    refuse_foreign(connection)?;
    match version(connection)? {
        KNOWN => Ok(()),
        found if found > KNOWN => Err(Error::NewerFormat { found, known: KNOWN }),
        _ => Err(Error::ReadOnly),
    }
}

/// The version of a file, 0 for an empty one.
pub(crate) fn version(connection: &Connection) -> Result<i64> {
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
    fn tables_of_every_version_are_ours() {
        let connection = Connection::open_in_memory().unwrap();
        for migration in MIGRATIONS {
            connection.execute_batch(migration).unwrap();
            refuse_foreign(&connection).unwrap();
        }
        connection.execute_batch(CREATE_COMMIT_IDS).unwrap();
        connection.execute_batch(CREATE_DATABASE_ID).unwrap();
        refuse_foreign(&connection).unwrap();
    }

    #[test]
    fn objects_of_others_on_the_tables_are_refused_by_name() {
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
            match refuse_foreign(&connection) {
                Err(Error::ForeignObject { object: named }) => assert_eq!(named, object, "{foreign}"),
                result => panic!("{foreign}: {result:?}"),
            }
        }
    }

    #[test]
    fn tables_of_others_may_stay() {
        let connection = Connection::open_in_memory().unwrap();
        migrate(&connection).unwrap();
        let others = "create table other (kv blob references kv); create index more on other (kv);
            create view seen as select * from kv; create trigger heard after insert on kv begin select 1; end";
        connection.execute_batch(others).unwrap();
        refuse_foreign(&connection).unwrap();
    }

    #[test]
    fn a_file_that_another_process_migrates_meanwhile_is_left_as_it_is() {
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
