//! Closes databases, and immediately copies, renames or reopens the file, or kills or exits the process. The main file must contain
//! everything that was acknowledged, and no WAL may remain.

mod file;

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::thread;
use std::time::Duration;

use rusqlite::Connection;

use crate::runtime::{Runtime, wait, wait_for_line};
use crate::{Outcome, Programs, TIMEOUT, Under, failed};
use file::{Acknowledged, Verdict};

/// The arguments of `close`.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// The number of rounds of each action after closing within the process.
    #[arg(long, default_value_t = 400)]
    pub rounds: u64,
    /// The number of processes that exit in each way.
    #[arg(long, default_value_t = 80)]
    pub processes: u64,
    /// The number of processes that close a database that another process has locked.
    #[arg(long, default_value_t = 5)]
    pub locked: u64,
    /// Which program runs the scripts.
    #[arg(long, value_enum, default_value_t)]
    pub under: Under,
}

/// The actions within the process right after closing.
const ACTIONS: [&str; 4] = ["copy", "rename", "reopen", "dispose"];

/// How a process exits, and whether it closes the database before. One that is killed must have closed it, as it runs no code.
const EXITS: [(&str, bool); 11] = [
    ("kill", true),
    ("end", true),
    ("exit", true),
    ("throw", true),
    ("reject", true),
    ("signal", true),
    ("end", false),
    ("exit", false),
    ("throw", false),
    ("reject", false),
    ("signal", false),
];

/// The workloads before closing, as in `scripts/close/write.ts`. The last two keep a process alive until the database is closed.
const KINDS: [&str; 8] = ["small", "many", "large", "reads", "handles", "unawaited", "watch", "queue"];
const EXITING_KINDS: usize = 6;

/// How long another process holds the write lock.
const LOCKED: Duration = Duration::from_millis(1500);

/// How long closing may take meanwhile, in milliseconds.
const BOUND: f64 = 1000.0;

/// The timeout of a round.
const PER_ROUND: Duration = Duration::from_millis(500);

/// The results of one combination.
#[derive(Default)]
struct Count {
    name: String,
    judged: u64,
    /// Files that lack an acknowledged write.
    missing: u64,
    malformed: u64,
    /// Files whose WAL remained.
    left: u64,
    /// Processes that failed.
    failed: u64,
    /// Writes in flight that were rejected.
    rejected: u64,
    /// The durations of closing, in milliseconds.
    times: Vec<f64>,
    /// The first incorrect file.
    first: Option<String>,
    /// The first failed process.
    failure: Option<String>,
}

/// Runs all combinations.
///
/// # Errors
/// The numbers of incorrect files of each.
pub fn run(programs: &Programs, args: &Args) -> Outcome {
    let runtime = args.under.runtime(programs)?;
    let mut counts = Vec::new();
    if args.rounds > 0 {
        for action in ACTIONS {
            counts.extend(close_and_continue(&runtime, action, args.rounds)?);
        }
    }
    if args.processes > 0 {
        for (first, (exit, closes)) in EXITS.into_iter().enumerate() {
            counts.push(close_and_exit(&runtime, exit, closes, first, args.processes)?);
        }
    }
    if args.locked > 0 {
        counts.push(close_locked(&runtime, args.locked)?);
    }
    let report = table(&counts);
    if counts.iter().all(Count::holds) { Ok(report) } else { Err(report) }
}

impl Count {
    fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), ..Self::default() }
    }

    fn holds(&self) -> bool {
        [self.missing, self.malformed, self.left, self.failed] == [0; 4]
    }

    fn judge(&mut self, verdict: Verdict, is_left: bool, what: &str) {
        self.judged += 1;
        self.left += u64::from(is_left);
        self.missing += u64::from(matches!(verdict, Verdict::Missing(_)));
        self.malformed += u64::from(matches!(verdict, Verdict::Malformed(_)));
        match verdict {
            Verdict::Missing(error) | Verdict::Malformed(error) => self.note(format!("{what}: {error}")),
            Verdict::Complete if is_left => self.note(format!("{what}: the WAL remained")),
            Verdict::Complete => {}
        }
    }

    fn fail(&mut self, error: String) {
        self.failed += 1;
        self.failure.get_or_insert(error);
    }

    fn note(&mut self, error: String) {
        self.first.get_or_insert(error);
    }
}

/// The output of a script for one database so far.
#[derive(Default)]
struct Printed {
    path: PathBuf,
    acknowledged: Acknowledged,
}

impl Printed {
    /// Processes a line. Returns lines that are not about writes or closing.
    fn take<'l>(&mut self, line: &'l str, count: &mut Count) -> Option<&'l str> {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        match word {
            "begin" => *self = Self { path: rest.into(), ..Self::default() },
            "a" => self.acknowledged.add(rest),
            "closed" => count.times.extend(rest.parse::<f64>().ok()),
            "rejected" => count.rejected += 1,
            _ => return Some(line),
        }
        None
    }
}

/// Closes databases and continues, in one process. Returns the counts right after closing, and once all writes were settled.
fn close_and_continue(runtime: &Runtime, action: &str, rounds: u64) -> Result<Vec<Count>, String> {
    let directory = tempfile::tempdir().map_err(failed("creating a directory"))?;
    // Output goes to files, which also keep that of a process that hangs.
    let [stdout, stderr] = ["stdout", "stderr"].map(|name| directory.path().join(name));
    let create = |path: &Path| File::create(path).map_err(failed("creating a file"));
    let read = |path: &Path| fs::read_to_string(path).map_err(failed("reading the output of a script"));
    let mut command = runtime.script("close/continue.ts", directory.path());
    command.arg(directory.path()).args([action, &rounds.to_string()]);
    let child =
        command.stdout(create(&stdout)?).stderr(create(&stderr)?).spawn().map_err(failed("starting a process"))?;
    let output = wait(child, TIMEOUT + PER_ROUND * rounds as u32)?;
    let [mut immediately, mut settled] =
        [Count::new(action), Count::new(format!("{action}, once writes in flight were settled"))];
    // Errors on stderr alone are not failures: a message that was in flight when its file was renamed is reported there.
    match output {
        None => immediately.fail(format!("timed out: {}", last_lines(&read(&stderr)?))),
        Some(output) if !output.status.success() => {
            immediately.fail(format!("{}: {}", output.status, last_lines(&read(&stderr)?)))
        }
        Some(_) => {}
    }
    let mut printed = Printed::default();
    for line in read(&stdout)?.lines() {
        let Some(rest) = printed.take(line, &mut immediately) else { continue };
        let mut words = rest.splitn(4, ' ');
        let [Some("judge"), Some(moment), Some(left), Some(copy)] = [(); 4].map(|()| words.next()) else {
            return Err(format!("{action}: unexpected output: {line}"));
        };
        let count = if moment == "settled" { &mut settled } else { &mut immediately };
        count.judge(printed.acknowledged.judge(Path::new(copy)), left == "true", &printed.path.to_string_lossy());
    }
    Ok([immediately, settled].into_iter().filter(|count| count.judged > 0 || !count.holds()).collect())
}

/// Runs processes that close a database or not, and exit. Cycles through the workloads from the `first`, and checks copies of the file.
fn close_and_exit(runtime: &Runtime, exit: &str, closes: bool, first: usize, processes: u64) -> Result<Count, String> {
    let mut count = Count::new(format!("{exit}, {}", if closes { "closed" } else { "left open" }));
    let directory = tempfile::tempdir().map_err(failed("creating a directory"))?;
    let kinds = if !closes && exit == "end" { &KINDS[..EXITING_KINDS] } else { &KINDS };
    for number in 0..processes {
        let kind = kinds[(first + number as usize) % kinds.len()];
        let path = directory.path().join(format!("{number}.db"));
        let mut command = runtime.script("close/exit.ts", directory.path());
        command.arg(&path).args([exit, kind, &closes.to_string()]);
        let child = command.spawn().map_err(failed("starting a process"))?;
        let Some(output) = wait(child, TIMEOUT)? else {
            count.fail(format!("{kind}: no exit within {TIMEOUT:?}"));
            continue;
        };
        let stderr = String::from_utf8_lossy(&output.stderr);
        if !stderr.is_empty() && !stderr.contains("planned") {
            count.fail(format!("{kind}: {}: {stderr}", output.status));
        }
        let mut printed = Printed::default();
        for line in String::from_utf8_lossy(&output.stdout).lines() {
            if let Some(other) = printed.take(line, &mut count) {
                return Err(format!("{exit}: unexpected output: {other}"));
            }
        }
        let is_left = ["-wal", "-shm"].iter().any(|suffix| with_suffix(&path, suffix).exists());
        let copy = with_suffix(&path, ".copy");
        fs::copy(&path, &copy).map_err(failed("copying a file"))?;
        count.judge(printed.acknowledged.judge(&copy), is_left, kind);
        [path, copy].iter().for_each(|file| remove(file));
    }
    Ok(count)
}

/// Closes databases with a write in flight while this process holds the write lock.
fn close_locked(runtime: &Runtime, processes: u64) -> Result<Count, String> {
    let mut count = Count::new("close() while another process holds the lock");
    let directory = tempfile::tempdir().map_err(failed("creating a directory"))?;
    for number in 0..processes {
        let path = directory.path().join(format!("{number}.db"));
        let mut command = runtime.script("close/locked.ts", directory.path());
        let mut child = command.arg(&path).stdin(Stdio::piped()).spawn().map_err(failed("starting a process"))?;
        let mut printed = Printed::default();
        // Skips the output for the first write, whose entry the last one overwrites.
        wait_for_line(&mut child, "ready")?;
        let file = Connection::open(&path).map_err(failed("opening a file"))?;
        file.execute_batch("begin immediate").map_err(failed("locking a file"))?;
        child.stdin.take().ok_or("no input")?.write_all(b"\n").map_err(failed("notifying a process"))?;
        thread::sleep(LOCKED);
        file.execute_batch("rollback").map_err(failed("unlocking a file"))?;
        drop(file);
        let Some(output) = wait(child, TIMEOUT)? else {
            count.fail(format!("the write was not settled within {TIMEOUT:?}"));
            continue;
        };
        let stdout = String::from_utf8_lossy(&output.stdout);
        for line in stdout.lines() {
            if let Some(other) = printed.take(line, &mut count) {
                return Err(format!("locked: unexpected output: {other}"));
            }
        }
        let took = count.times.last().copied();
        if !output.status.success() || took.is_none_or(|took| took > BOUND) {
            count.fail(format!("{}: close() took {took:?} ms", output.status));
        }
        count.judge(printed.acknowledged.judge(&path), false, "locked");
    }
    Ok(count)
}

fn table(counts: &[Count]) -> String {
    let mut table = "\
| close: then | files | missing writes | malformed | WAL remained | failed | close(), median and longest |
| --- | ---: | ---: | ---: | ---: | ---: | ---: |"
        .to_owned();
    for Count { name, judged, missing, malformed, left, failed, times, .. } in counts {
        let mut times = times.clone();
        times.sort_by(f64::total_cmp);
        let shown = match (times.get(times.len() / 2), times.last()) {
            (Some(median), Some(longest)) => format!("{median:.2} ms, {longest:.1} ms"),
            _ => "–".into(),
        };
        // Writing to a string cannot fail.
        let _ = write!(table, "\n| {name} | {judged} | {missing} | {malformed} | {left} | {failed} | {shown} |");
    }
    for Count { name, rejected, first, failure, .. } in counts {
        if *rejected > 0 {
            let _ = write!(table, "\n{name}: {rejected} writes in flight were rejected");
        }
        for first in [first, failure].into_iter().flatten() {
            let _ = write!(table, "\n{name}: first: {}", first.trim_end());
        }
    }
    table
}

/// Returns the last lines of the standard error of a process, which contain the fatal error.
fn last_lines(errors: &str) -> String {
    let lines: Vec<_> = errors.lines().collect();
    lines[lines.len().saturating_sub(4)..].join("\n")
}

/// Appends a suffix to a path.
fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// Removes a database. Errors do not matter, because the directory is removed at the end.
fn remove(path: &Path) {
    for suffix in ["", "-wal", "-shm"] {
        let _ = fs::remove_file(with_suffix(path, suffix));
    }
}
