use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use rusqlite::types::{ToSqlOutput, Value, ValueRef as Column};
use rusqlite::{Connection, OpenFlags, OptionalExtension, params_from_iter};

use super::pages::Pages;
use super::stage::Stage;
use super::tables::{COMMIT_IDS, Problem, ProblemLocation, TABLES, Table};
use super::{OnProgress, Progress, backup, source, target};
use crate::sqlite::connection::{self, FileConnection};
use crate::sqlite::pinned::Pinned;
use crate::sqlite::schema;
use crate::{Error, FileProblem, Key, Result};

/// The number of rows between two progress reports.
const INTERVAL: u64 = 1000;

/// Saves a message from an unknown table to `queue`, unless it was saved already. It may be delivered twice.
const SAVE_MESSAGE: &str = "insert or ignore into queue (ts, id, data, backoff_schedule, keys_if_undelivered)
    select ?1, ?2, ?3, ?4, ?5 where not exists (select 1 from queue_running where deadline = ?1 and id = ?2)";
const HAS_ENTRY: &str = "select 1 from kv where k = ?1";
const HAS_MESSAGE: &str = "select 1 from queue where ts = ?1 and id = ?2 union all select 1 from queue_running where deadline = ?1 and id = ?2";
const SET_VERSION: &str =
    "update data_version set version = max(?1, (select coalesce(max(version), 0) from kv)) where k = 0";

/// The result of a salvage.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Salvage {
    /// The number of entries saved, including expired ones.
    pub entries: u64,
    /// The number of messages saved, both waiting and in flight.
    pub messages: u64,
    /// The corrupt parts of the file, and the lost entries and messages, as far as an index still contains their keys.
    pub lost: Vec<Problem>,
    /// Whether the last versionstamp could not be read. The new file then has the greatest one among its entries.
    pub forgot_versionstamps: bool,
}

/// Copies every readable entry and message of a corrupt file into a new one. Does not change the corrupt file. SQLite reads the
/// rows of each table forwards from the first up to the first corrupt page, and backwards from the last. If any page is
/// corrupt, all pages are then searched for records that SQLite could not reach, except for commit ids.
///
/// # Errors
/// [`Error::File`] of either file, [`Error::NewerFormat`], [`Error::Busy`] or [`Error::Storage`].
pub fn salvage(file: &Path, to: &Path, overwrite: bool, progress: &mut OnProgress<'_>) -> Result<Salvage> {
    let (file, to) = (&source::find(file)?, &source::resolve(to)?);
    target::require_free(to, file, overwrite)?;
    let stage = Stage::new(to)?;
    let rescue = Rescue::begin(to.path(), &stage, progress).map_err(|error| error.of(to.path()))?;
    let saved = rescue.run(file, &stage)?;
    stage.put(file, overwrite)?;
    Ok(saved)
}

/// The state of a salvage.
struct Rescue<'a, 'b> {
    to: &'a Path,
    target: FileConnection,
    saved: Salvage,
    lost: BTreeMap<ProblemLocation, String>,
    /// The version of the last commit, if it was found.
    version: Option<i64>,
    progress: &'a mut OnProgress<'b>,
}

impl<'a, 'b> Rescue<'a, 'b> {
    fn begin(to: &'a Path, stage: &Stage, progress: &'a mut OnProgress<'b>) -> Result<Self> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE;
        let target = connection::connect(&stage.file(), flags)?;
        // The file is synced once it is complete, and discarded on a failure.
        target.execute_batch("pragma journal_mode = off; pragma synchronous = off")?;
        schema::migrate(&target)?;
        target.execute_batch("begin")?;
        Ok(Self { to, target, saved: Salvage::default(), lost: BTreeMap::new(), version: None, progress })
    }

    fn run(mut self, file: &Arc<Pinned>, stage: &Stage) -> Result<Salvage> {
        let image = stage.image();
        let unreadable = match self.read_tables(file, &image) {
            Ok(()) => None,
            // SQLite cannot read the file. So its pages are searched, without the WAL.
            Err(Error::File {
                problem: problem @ (FileProblem::NotADatabase | FileProblem::Corrupt(_) | FileProblem::WalUnreadable),
                ..
            }) => Some(problem),
            Err(error) => return Err(error),
        };
        if unreadable.is_some() || !self.lost.is_empty() {
            let image = if unreadable.is_some() { file } else { &image };
            self.search(image)?;
        }
        if let Some(problem) = unreadable {
            if self.saved.entries + self.saved.messages == 0 {
                return Err(problem.of(file.path()));
            }
            self.lost.insert(ProblemLocation::File, problem.to_string());
        }
        let to = self.to;
        self.finish().map_err(|error| error.of(to))
    }

    /// Saves the rows that SQLite can read. If some are lost, copies the file, including its WAL, to `image`.
    fn read_tables(&mut self, file: &Arc<Pinned>, image: &Arc<Pinned>) -> Result<()> {
        let connection = source::open_reader(file)?;
        // With this, SQLite reads a truncated file.
        connection.pragma_update(None, "writable_schema", true)?;
        let snapshot = source::snapshot(&connection).map_err(|error| error.of(file.path()))?;
        match schema::version(&snapshot) {
            Ok(found) if found > schema::KNOWN => {
                return Err(Error::NewerFormat { found, known: schema::KNOWN });
            }
            _ => {}
        }
        let table = "select 1 from sqlite_schema where name = 'kv'";
        let has_table = snapshot.query_row(table, [], |_| Ok(())).optional();
        if has_table.map_err(|error| Error::from(error).of(file.path()))?.is_none() {
            return Err(FileProblem::NotKv.of(file.path()));
        }
        self.version = backup::last_version(&snapshot).ok();
        let commit_ids = COMMIT_IDS.is_in(&snapshot).unwrap_or(false);
        if commit_ids {
            self.target.execute_batch(schema::CREATE_COMMIT_IDS)?;
        }
        for table in TABLES.iter().chain(commit_ids.then_some(&COMMIT_IDS)) {
            for order in ["asc", "desc"] {
                let Some(error) = self.walk(&snapshot, table, order)? else {
                    break;
                };
                self.lost.insert(ProblemLocation::Table(table.name), format!("it is corrupt: {error}"));
            }
        }
        if self.lost.is_empty() {
            Ok(())
        } else {
            backup::copy(&snapshot, image, self.progress).map_err(|error| error.of(file.path()))
        }
    }

    /// Saves the rows of a table in an order, up to the end or an error of SQLite, which it returns.
    fn walk(&mut self, source: &Connection, table: &Table, order: &str) -> Result<Option<rusqlite::Error>> {
        let Table { name, key, columns, .. } = table;
        let sql = format!("select {key}, {columns} from {name} order by {key} {order}");
        let mut statement = match source.prepare(&sql) {
            Ok(statement) => statement,
            Err(error) => return Ok(Some(error)),
        };
        let mut rows = statement.query([])?;
        loop {
            let row = match rows.next() {
                Ok(Some(row)) => row,
                Ok(None) => return Ok(None),
                Err(error) => return Ok(Some(error)),
            };
            let row = table.row(row)?;
            match (table.fault)(&row) {
                Some(fault) => {
                    self.lost.insert(table.location(row[0]), fault);
                }
                None => {
                    let values = vec!["?"; row.len()].join(", ");
                    self.save(&format!("insert or ignore into {name} ({key}, {columns}) values ({values})"), &row)?;
                }
            }
        }
    }

    /// Saves the rows found on any page, and then reports those that an index contains but that were not found.
    fn search(&mut self, image: &Pinned) -> Result<()> {
        let io = |error| FileProblem::io(image.path())(error);
        let mut pages = Pages::open(&image.file("")).map_err(io)?;
        let total = 2 * u64::from(pages.count());
        let passes = [Self::save_record, Self::report_lost];
        for (pass, process) in passes.into_iter().enumerate() {
            for page in 1..=pages.count() {
                for record in pages.records(page).map_err(io)? {
                    process(self, record)?;
                }
                let done = pass as u64 * u64::from(pages.count()) + u64::from(page);
                (self.progress)(Progress { doing: "searching pages", done, total });
            }
        }
        Ok(())
    }

    /// Saves a record that is a row. Its table is inferred from its columns.
    fn save_record(&mut self, mut record: Vec<Value>) -> Result<()> {
        if let [Value::Blob(_), Value::Blob(_), Value::Integer(_), Value::Integer(_)] = record[..] {
            // Written by an old version of the format, without the last two columns.
            record.extend([Value::Integer(0), Value::Integer(-1)]);
        }
        let [entries, queue, _] = &TABLES;
        let columns: Vec<Column<'_>> = record.iter().map(Column::from).collect();
        match columns[..] {
            [Column::Blob(_), Column::Blob(_), _, _, _, _] if (entries.fault)(&columns).is_none() => {
                let Table { columns: names, .. } = entries;
                self.save(&format!("insert or ignore into kv (k, {names}) values (?, ?, ?, ?, ?, ?)"), &columns)
            }
            [_, Column::Text(_), _, _, _] if (queue.fault)(&[&[Column::Null], &columns[..]].concat()).is_none() => {
                self.save(SAVE_MESSAGE, &columns)
            }
            [Column::Null, Column::Integer(version), Column::Integer(_)] => {
                self.version = self.version.max(Some(version));
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Reports a record of an index whose row was not found.
    fn report_lost(&mut self, record: Vec<Value>) -> Result<()> {
        let (location, is_saved) = match record.as_slice() {
            [Value::Integer(_), Value::Blob(key)] => (
                ProblemLocation::Entry(Key::from_encoded(key.clone())),
                self.target.prepare_cached(HAS_ENTRY)?.exists([key])?,
            ),
            [Value::Integer(time), Value::Text(id), Value::Integer(_)] if uuid::Uuid::try_parse(id).is_ok() => (
                ProblemLocation::Message { table: "queue", id: id.clone() },
                self.target.prepare_cached(HAS_MESSAGE)?.exists((time, id))?,
            ),
            _ => return Ok(()),
        };
        if !is_saved {
            self.lost.entry(location).or_insert_with(|| "it cannot be read".into());
        }
        Ok(())
    }

    fn save(&mut self, sql: &str, row: &[Column<'_>]) -> Result<()> {
        let row = row.iter().map(|column| ToSqlOutput::Borrowed(*column));
        let save = || self.target.prepare_cached(sql)?.execute(params_from_iter(row));
        let saved = save().map_err(|error| Error::from(error).of(self.to))? as u64;
        if sql.contains(" into kv ") {
            self.saved.entries += saved
        } else if sql.contains(" into queue") {
            self.saved.messages += saved
        }
        let done = self.saved.entries + self.saved.messages;
        if done.is_multiple_of(INTERVAL) {
            (self.progress)(Progress { doing: "saving entries", done, total: 0 });
        }
        Ok(())
    }

    fn finish(mut self) -> Result<Salvage> {
        self.target.execute(SET_VERSION, [self.version.unwrap_or_default()])?;
        self.target.execute_batch("commit")?;
        self.target.close()?;
        self.saved.forgot_versionstamps = self.version.is_none();
        self.saved.lost = self.lost.into_iter().map(|(location, message)| Problem { location, message }).collect();
        Ok(self.saved)
    }
}
