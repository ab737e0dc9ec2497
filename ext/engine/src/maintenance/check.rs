use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use rusqlite::Connection;
use rusqlite::types::ValueRef as Column;

use super::tables::{COMMIT_IDS, Problem, ProblemLocation, TABLES, Table};
use super::{OnProgress, Progress, backup, source};
use crate::sqlite::connection;
use crate::sqlite::pinned::Pinned;
use crate::{Error, FileProblem, Result};

/// With the maximum number of problems. SQLite's default is 100.
const INTEGRITY: &str = "pragma integrity_check(2147483647)";

/// Lists the columns of all tables, and the indexes.
const SCHEMA: &str =
    "select 'column ' || c.name || ' of table ' || t.name from sqlite_schema t, pragma_table_info(t.name) c
    where t.type = 'table' union all select 'index ' || name from sqlite_schema where type = 'index'";

/// The number of rows between two progress reports.
const INTERVAL: u64 = 1000;

/// The result of a check.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Report {
    /// The number of entries checked, including expired ones.
    pub entries: u64,
    /// The number of messages checked, both waiting and in flight.
    pub messages: u64,
    /// The problems found. Empty for a correct file.
    pub problems: Vec<Problem>,
}

/// Checks every page and every row of a database in one snapshot, while other processes may continue to write. Changes nothing.
///
/// # Errors
/// Corruption is not an error, but is contained in the report. [`Error::File`] if the file does not exist, cannot be read, or
/// is not a Deno KV database, [`Error::NewerFormat`], [`Error::Busy`] or [`Error::Storage`].
pub fn check(file: &Path, progress: &mut OnProgress<'_>) -> Result<Report> {
    run(&source::find(file)?, progress)
}

pub(super) fn run(file: &Arc<Pinned>, progress: &mut OnProgress<'_>) -> Result<Report> {
    let connection = source::open_reader(file)?;
    let mut report = Report::default();
    let mut check = Check { connection: &connection, file: file.path(), report: &mut report, progress };
    let checked = check.run();
    check.report_corruption(checked)?;
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
        source::require_current(&snapshot, self.file)?;
        (self.progress)(Progress { doing: "checking pages", done: 0, total: 0 });
        let (pages, schema) = (self.pages(), self.schema());
        self.report_corruption(pages)?;
        self.report_corruption(schema)?;
        let last = backup::last_version(&snapshot).unwrap_or_else(|error| {
            self.found(
                ProblemLocation::Table("data_version"),
                format!("the version of the last commit cannot be read: {error}"),
            );
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

    fn found(&mut self, location: ProblemLocation, message: String) {
        self.report.problems.push(Problem { location, message });
    }

    /// Adds an error that means corruption to the report, so that the check continues. Returns any other error.
    fn report_corruption(&mut self, result: Result<()>) -> Result<()> {
        match result.map_err(|error| error.of(self.file)) {
            Err(Error::File { problem: problem @ (FileProblem::NotADatabase | FileProblem::Corrupt(_)), .. }) => {
                self.found(ProblemLocation::File, problem.to_string());
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
            // A row may contain several lines, under a heading.
            for line in text.lines().filter(|line| *line != "ok" && !line.starts_with("***")) {
                self.found(ProblemLocation::File, line.into());
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
        let expected = connection::open_memory()?;
        for missing in lines(&expected)?.difference(&found) {
            self.found(ProblemLocation::File, format!("{missing} is missing"));
        }
        Ok(())
    }

    /// Returns the number of rows in a table, if it can be read.
    fn count(&self, table: &Table) -> Option<u64> {
        let count = format!("select count(*) from {}", table.name);
        self.connection.query_row(&count, [], |row| row.get::<_, i64>(0)).ok().map(|count| count as u64)
    }

    fn rows(&mut self, table: &Table, last: i64, total: u64) {
        let mut previous = None;
        if let Err(error) = self.try_rows(table, last, total, &mut previous) {
            let last = previous.map_or("the first row".into(), |location: ProblemLocation| location.to_string());
            self.found(ProblemLocation::Table(table.name), format!("cannot be read after {last}: {error}"));
        }
    }

    fn try_rows(
        &mut self,
        table: &Table,
        last: i64,
        total: u64,
        previous: &mut Option<ProblemLocation>,
    ) -> rusqlite::Result<()> {
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
                    Some(format!("its version {version} is greater than that of the last commit, {last}"))
                }
                _ => None,
            });
            let location = table.location(row.get_ref(0)?);
            if let Some(fault) = fault {
                self.found(location.clone(), fault);
            }
            *previous = Some(location);
            let done = self.report.entries + self.report.messages;
            if done.is_multiple_of(INTERVAL) {
                (self.progress)(Progress { doing: "checking entries", done, total });
            }
        }
        Ok(())
    }
}
