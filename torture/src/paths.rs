//! Scripts that swap a path for a link to a denied directory, while they open, use and close a database under that path.
//! They must not read or change a database there, nor create a file.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::Duration;

use openkv_engine::sqlite::{self, Location, Options, wait_closed};
use openkv_engine::{AtomicWrite, Key, KeyPart, Mutation, Value};
use rusqlite::Connection;
use serde::Deserialize;

use crate::runtime::{Runtime, wait};
use crate::{Outcome, Programs, TIMEOUT, Under, failed};

/// The arguments of `paths`.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// The total time of all variants, in seconds.
    #[arg(long, default_value_t = 120.0)]
    pub seconds: f64,
    /// Which program runs the script.
    #[arg(long, value_enum, default_value_t)]
    pub under: Under,
}

/// The names of the swapped targets, as in `scripts/paths.ts`, and the target of the link below the denied directory.
const VARIANTS: [(&str, &str); 5] =
    [("directory", "d"), ("parent", ""), ("file", "d/x.db"), ("wal", "d/x.db-wal"), ("shm", "d/x.db-shm")];

/// The number of links: closing a database may remove the link in place of its WAL, and scripts cannot create links.
const LINKS: u32 = 1000;

/// How long the script may run beyond its time.
const GRACE: Duration = Duration::from_secs(20);

/// The number of entries of the denied database.
const ENTRIES: u64 = 50;

/// How access to a directory is denied.
#[derive(Clone, Copy)]
enum Denial {
    /// Everything else is allowed.
    Denied,
    /// Only the directory of the script is allowed.
    NotAllowed,
}

/// The output of the script.
#[derive(Default, Deserialize)]
struct Counts {
    tries: u64,
    opened: u64,
    read: u64,
    swaps: u64,
}

/// The results of a variant.
#[derive(Default)]
struct Found {
    counts: Counts,
    /// Entries of the denied database that were added or changed.
    changed: u64,
    /// Entries of the denied database that were removed.
    destroyed: u64,
    /// Files that were created in the denied directory.
    created: BTreeSet<OsString>,
    /// Files that were removed from the denied directory.
    removed: BTreeSet<OsString>,
    /// Processes that failed, were terminated by a signal, or hung.
    crashes: u64,
    /// The errors of processes and of the database.
    errors: Vec<String>,
}

/// Swaps paths.
///
/// # Errors
/// The accesses to the denied directory.
pub fn run(programs: &Programs, args: &Args) -> Outcome {
    let runtime = args.under.runtime(programs)?;
    let settings: Vec<_> = [Denial::Denied, Denial::NotAllowed]
        .into_iter()
        .flat_map(|denial| [false, true].map(|is_open| (denial, is_open)))
        .collect();
    let seconds = args.seconds / (VARIANTS.len() * settings.len()) as f64;
    let mut results = Vec::new();
    for (variant, target) in VARIANTS {
        let mut found = Found::default();
        for (denial, is_open) in &settings {
            found.add(try_one(&runtime, (variant, target), *denial, *is_open, seconds).map_err(failed(variant))?);
        }
        results.push((variant, found));
    }
    let report = table(&results);
    if results.iter().all(|(_, found)| found.holds()) { Ok(report) } else { Err(report) }
}

/// A denied directory with a database.
struct Outside {
    path: PathBuf,
    files: BTreeSet<OsString>,
    rows: BTreeMap<Vec<u8>, Vec<u8>>,
    /// Keeps the database open in this process, with a WAL.
    connection: Option<Connection>,
}

/// Runs one variant, while the denied database is open in this process or not.
fn try_one(
    runtime: &Runtime,
    (variant, target): (&str, &str),
    denial: Denial,
    is_open: bool,
    seconds: f64,
) -> Result<Found, String> {
    let root = tempfile::tempdir().map_err(failed("creating a directory"))?;
    // Permissions apply to paths without links.
    let path = root.path().canonicalize().map_err(failed("resolving a directory"))?;
    let [inside, outside] = ["in", "out"].map(|name| path.join(name));
    fs::create_dir(&inside).map_err(failed("creating a directory"))?;
    let denied = Outside::create(outside.join("d"), is_open)?;
    for number in 0..LINKS {
        link_to(&outside.join(target), &inside.join(format!("link-{number}"))).map_err(failed("creating a link"))?;
    }
    let mut command = runtime.restricted(denial.permissions(&inside, &outside), "paths.ts", &inside);
    command.arg(&inside).args([variant, &seconds.to_string()]);
    // Output goes to files, which also keep that of a process that is killed.
    let [stdout, stderr] = ["stdout", "stderr"].map(|name| path.join(name));
    let create = |path: &Path| File::create(path).map_err(failed("creating a file"));
    let child =
        command.stdout(create(&stdout)?).stderr(create(&stderr)?).spawn().map_err(failed("starting a process"))?;
    let output = wait(child, Duration::from_secs_f64(seconds) + GRACE)?;
    let read = |path: &Path| fs::read_to_string(path).map_err(failed("reading the output of the script"));
    let mut found = denied.judge()?;
    if let Some(last) = read(&stdout)?.lines().last() {
        found.counts = serde_json::from_str(last).map_err(failed("parsing the output of the script"))?;
    }
    match output {
        None => found.errors.push(format!("no exit within {GRACE:?} after {seconds} s")),
        Some(output) if !output.status.success() => {
            found.errors.push(format!("{}: {}", output.status, read(&stderr)?));
        }
        Some(_) => return Ok(found),
    }
    found.crashes = 1;
    Ok(found)
}

impl Denial {
    fn permissions(self, inside: &Path, outside: &Path) -> Vec<OsString> {
        let flag = |flag: &str, path: &Path| [OsString::from(flag), path.into()].into_iter().collect::<OsString>();
        let mut permissions = vec!["--no-prompt".into()];
        permissions.extend(match self {
            Self::Denied => vec![
                "--allow-read".into(),
                "--allow-write".into(),
                flag("--deny-read=", outside),
                flag("--deny-write=", outside),
            ],
            Self::NotAllowed => vec![flag("--allow-read=", inside), flag("--allow-write=", inside)],
        });
        permissions
    }
}

#[cfg(unix)]
fn link_to(target: &Path, link: &Path) -> std::io::Result<()> {
    std::os::unix::fs::symlink(target, link)
}

#[cfg(windows)]
fn link_to(target: &Path, link: &Path) -> std::io::Result<()> {
    if target.is_dir() {
        std::os::windows::fs::symlink_dir(target, link)
    } else {
        std::os::windows::fs::symlink_file(target, link)
    }
}

impl Outside {
    fn create(path: PathBuf, is_open: bool) -> Result<Self, String> {
        fs::create_dir_all(&path).map_err(failed("creating a directory"))?;
        let file = path.join("x.db");
        let creating = "creating a database";
        let database = sqlite::open(Location::file(&file), Options::default()).map_err(failed(creating))?;
        let key =
            |i| Key::from_parts(&["secret".into(), KeyPart::from(i as f64)]).expect("a name and a number are a key");
        let secrets =
            (0..ENTRIES).map(|i| Mutation::set(key(i), Value::U64(i))).fold(AtomicWrite::new(), AtomicWrite::mutate);
        database.write_blocking(secrets).map_err(failed(creating))?.into_result().map_err(failed(creating))?;
        database.close();
        wait_closed(TIMEOUT);
        let connection = if is_open { Some(Self::open_with_wal(&file).map_err(failed(creating))?) } else { None };
        let rows = rows(&file).map_err(failed("reading a database"))?;
        Ok(Self { files: names(&path)?, path, rows, connection })
    }

    /// Opens the database, and rewrites its entries so that they are in the WAL.
    fn open_with_wal(file: &Path) -> rusqlite::Result<Connection> {
        let connection = Connection::open(file)?;
        connection.execute_batch("pragma wal_autocheckpoint = 0; update kv set version = version + 1")?;
        Ok(connection)
    }

    /// Compares the directory with its state at creation.
    fn judge(self) -> Result<Found, String> {
        let files = names(&self.path)?;
        let mut found = Found {
            created: files.difference(&self.files).cloned().collect(),
            removed: self.files.difference(&files).cloned().collect(),
            ..Found::default()
        };
        match rows(&self.path.join("x.db")) {
            Ok(rows) => {
                found.changed = rows.iter().filter(|(key, value)| self.rows.get(*key) != Some(value)).count() as u64;
                found.destroyed = self.rows.keys().filter(|key| !rows.contains_key(*key)).count() as u64;
            }
            Err(error) => {
                found.destroyed = self.rows.len() as u64;
                found.errors.push(format!("the denied database: {error}"));
            }
        }
        drop(self.connection);
        Ok(found)
    }
}

/// Returns the entries of a database, with their versions.
fn rows(path: &Path) -> rusqlite::Result<BTreeMap<Vec<u8>, Vec<u8>>> {
    let file = Connection::open(path)?;
    let mut select = file.prepare("select k, v || ' at ' || version from kv")?;
    let rows = select.query_map([], |row| Ok((row.get(0)?, row.get::<_, rusqlite::types::Value>(1)?)))?;
    rows.map(|row| row.map(|(key, value)| (key, format!("{value:?}").into_bytes()))).collect()
}

fn names(directory: &Path) -> Result<BTreeSet<OsString>, String> {
    let reading = "reading a directory";
    let entries = fs::read_dir(directory).map_err(failed(reading))?;
    entries.map(|entry| entry.map(|entry| entry.file_name()).map_err(failed(reading))).collect()
}

impl Found {
    fn holds(&self) -> bool {
        let files = self.created.len() + self.removed.len();
        [self.counts.read, self.changed, self.destroyed, self.crashes, files as u64] == [0; 5]
    }

    fn add(&mut self, other: Self) {
        self.counts.tries += other.counts.tries;
        self.counts.opened += other.counts.opened;
        self.counts.read += other.counts.read;
        self.counts.swaps += other.counts.swaps;
        self.changed += other.changed;
        self.destroyed += other.destroyed;
        self.created.extend(other.created);
        self.removed.extend(other.removed);
        self.crashes += other.crashes;
        self.errors.extend(other.errors);
    }
}

fn table(results: &[(&str, Found)]) -> String {
    let mut table = "\
| paths: swapped for a link | tries | opened | swaps | denied database read | entries changed | entries destroyed | files created | \
files removed | crashed or hung |
| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |"
        .to_owned();
    for (variant, Found { counts, changed, destroyed, created, removed, crashes, .. }) in results {
        let Counts { tries, opened, read, swaps } = counts;
        // Writing to a string cannot fail.
        let _ = write!(
            table,
            "\n| {variant} | {tries} | {opened} | {swaps} | {read} | {changed} | {destroyed} | {} | {} | {crashes} |",
            created.len(),
            removed.len()
        );
    }
    for (variant, found) in results {
        for error in &found.errors {
            let _ = write!(table, "\n{variant}: {}", error.trim_end());
        }
    }
    table
}
