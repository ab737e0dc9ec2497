use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use rusqlite::Connection;
use rusqlite::types::ValueRef as Column;

use super::tables::{COMMIT_IDS, Place, Problem, TABLES, Table};
use super::{OnProgress, Progress, backup, source};
use crate::sqlite::connection;
use crate::sqlite::pinned::Pinned;
use crate::{Error, FileProblem, Result};

/// SQLite stops at a hundred problems where it is given no number.
const INTEGRITY: &str = "pragma integrity_check(2147483647)";

/// The columns of tables and the indexes, a line each.
const SCHEMA: &str =
    "select 'column ' || c.name || ' of table ' || t.name from sqlite_schema t, pragma_table_info(t.name) c
    where t.type = 'table' union all select 'index ' || name from sqlite_schema where type = 'index'";

/// How often to tell how far it has come, in rows.
const INTERVAL: u64 = 1000;

/// What a check found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Report {
    /// How many entries were looked at, expired ones among them.
    pub entries: u64,
    /// How many messages were looked at, waiting and in flight.
    pub messages: u64,
    /// What is wrong. Empty for a file that is in order.
    pub problems: Vec<Problem>,
}

/// Looks at every page and every row of a database, in one state of it, while others may go on writing. Changes nothing.
///
/// # Errors
/// Damage is no error, but in the report. [`Error::File`] where the file is not there, may not be read, or is no database of
/// Deno KV, [`Error::NewerFormat`], [`Error::Busy`] or [`Error::Storage`].
pub fn check(file: &Path, progress: &mut OnProgress<'_>) -> Result<Report> {
    run(&source::find(file)?, progress)
}

pub(super) fn run(file: &Arc<Pinned>, progress: &mut OnProgress<'_>) -> Result<Report> {
    let connection = source::open_reader(file)?;
    let mut report = Report::default();
    let mut check = Check { connection: &connection, file: file.path(), report: &mut report, progress };
    let checked = check.run();
    check.note_damage(checked)?;
    Ok(report)
}

struct Check<'a, 'b> {
    connection: &'a Connection,
    file: &'a Path,
    report: &'a mut Report,
    progress: &'a mut OnProgress<'b>,
}

impl Check<'_, '_> {
    fn run(&mut self) -> Result<()> {
        let connection = self.connection;
        let snapshot = source::snapshot(connection)?;
        source::require_present(&snapshot, self.file)?;
        (self.progress)(Progress { doing: "checking pages", done: 0, total: 0 });
        let (pages, schema) = (self.pages(), self.schema());
        self.note_damage(pages)?;
        self.note_damage(schema)?;
        let last = backup::last_version(&snapshot).unwrap_or_else(|error| {
            self.found(Place::Table("data_version"), format!("the number of the last commit cannot be read: {error}"));
            i64::MAX
        });
        let total: u64 = TABLES.iter().filter_map(|table| self.count(table)).sum();
        for table in &TABLES {
            self.rows(table, last, total);
        }
        if COMMIT_IDS.is_in(&snapshot)? {
            self.rows(&COMMIT_IDS, last, total);
        }
        Ok(())
    }

    fn found(&mut self, place: Place, what: String) {
        self.report.problems.push(Problem { place, what });
    }

    /// Notes damage, which keeps nothing else from being looked at. What is none stays an error.
    fn note_damage(&mut self, result: Result<()>) -> Result<()> {
        match result.map_err(|error| error.of(self.file)) {
            Err(Error::File { problem: problem @ (FileProblem::NotADatabase | FileProblem::Corrupt(_)), .. }) => {
                self.found(Place::File, problem.to_string());
                Ok(())
            }
            result => result,
        }
    }

    fn pages(&mut self) -> Result<()> {
        let mut statement = self.connection.prepare(INTEGRITY)?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let text = String::from_utf8_lossy(row.get_ref(0)?.as_bytes().unwrap_or_default()).into_owned();
            // One row may hold many lines, under a heading.
            for line in text.lines().filter(|line| *line != "ok" && !line.starts_with("***")) {
                self.found(Place::File, line.into());
            }
        }
        Ok(())
    }

    fn schema(&mut self) -> Result<()> {
        let lines = |connection: &Connection| -> Result<BTreeSet<String>> {
            let mut statement = connection.prepare(SCHEMA)?;
            Ok(statement.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?)
        };
        let found = lines(self.connection)?;
        let ours = connection::open_memory()?;
        for missing in lines(&ours)?.difference(&found) {
            self.found(Place::File, format!("there is no {missing}"));
        }
        Ok(())
    }

    /// How many rows a table has, where that can be read.
    fn count(&self, table: &Table) -> Option<u64> {
        let count = format!("select count(*) from {}", table.name);
        self.connection.query_row(&count, [], |row| row.get::<_, i64>(0)).ok().map(|count| count as u64)
    }

    fn rows(&mut self, table: &Table, last: i64, total: u64) {
        let mut place = None;
        if let Err(error) = self.try_rows(table, last, total, &mut place) {
            let last = place.map_or("the first row".into(), |place: Place| place.to_string());
            self.found(Place::Table(table.name), format!("cannot be read after {last}: {error}"));
        }
    }

    fn try_rows(&mut self, table: &Table, last: i64, total: u64, place: &mut Option<Place>) -> rusqlite::Result<()> {
        let Table { name, key, columns, .. } = table;
        let mut statement = self.connection.prepare(&format!("select {key}, {columns} from {name} order by {key}"))?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let mut fault = (table.fault)(&table.row(row)?);
            let version = match *name {
                "kv" => {
                    self.report.entries += 1;
                    Some(row.get_ref(3)?)
                }
                name if name == COMMIT_IDS.name => Some(row.get_ref(0)?),
                _ => {
                    self.report.messages += 1;
                    None
                }
            };
            fault = fault.or_else(|| match version {
                Some(Column::Integer(version)) if version > last => {
                    Some(format!("its version {version} is above that of the last commit, {last}"))
                }
                _ => None,
            });
            let here = table.place(row.get_ref(0)?);
            if let Some(fault) = fault {
                self.found(here.clone(), fault);
            }
            *place = Some(here);
            let done = self.report.entries + self.report.messages;
            if done.is_multiple_of(INTERVAL) {
                (self.progress)(Progress { doing: "checking entries", done, total });
            }
        }
        Ok(())
    }
}
