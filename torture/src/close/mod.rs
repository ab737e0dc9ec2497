//! Databases that are closed, and then immediately copied, renamed, opened again, or left by a process that is killed or ends. The one
//! file must hold all that was acknowledged, and no WAL may be left beside it.

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

/// How long to try.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// How many rounds of each way to go on after closing within the process.
    #[arg(long, default_value_t = 400)]
    pub rounds: u64,
    /// How many processes to end in each way.
    #[arg(long, default_value_t = 80)]
    pub processes: u64,
    /// How many processes close a database that another process has locked.
    #[arg(long, default_value_t = 5)]
    pub locked: u64,
    /// Which program runs the scripts.
    #[arg(long, value_enum, default_value_t)]
    pub under: Under,
}

/// What is done within the process right after closing.
const GO_ON: [&str; 4] = ["copy", "rename", "reopen", "dispose"];

/// How a process ends, and whether it closed the database before. A process that is killed runs no code, and has to have closed it.
const ENDS: [(&str, bool); 11] = [
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

/// What is written before: as in `scripts/close/write.ts`. The last two keep a process alive until the database is closed.
const KINDS: [&str; 8] = ["small", "many", "large", "reads", "handles", "unawaited", "watch", "queue"];
const ENDING_KINDS: usize = 6;

/// How long another process holds the write lock, and how long closing may take meanwhile.
const LOCKED: Duration = Duration::from_millis(1500);
const BOUND: f64 = 1000.0;

/// How long a round may take in which every call is answered.
const PER_ROUND: Duration = Duration::from_millis(500);

/// What came of one way.
#[derive(Default)]
struct Count {
    way: String,
    judged: u64,
    /// Files that lack an acknowledged write, that are malformed, and that have a WAL left beside them.
    missing: u64,
    malformed: u64,
    left: u64,
    /// Processes that did not do what they were to do.
    failed: u64,
    /// Writes in flight that were rejected.
    rejected: u64,
    /// How long closing took, in milliseconds.
    times: Vec<f64>,
    /// The first file that was wrong, and the first process.
    first: Option<String>,
    failure: Option<String>,
}

/// Closes databases in all ways.
///
/// # Errors
/// How many files were not as they must be, by the way.
pub fn run(programs: &Programs, args: &Args) -> Outcome {
    let runtime = args.under.runtime(programs)?;
    let mut counts = Vec::new();
    if args.rounds > 0 {
        for way in GO_ON {
            counts.extend(go_on(&runtime, way, args.rounds)?);
        }
    }
    if args.processes > 0 {
        for (first, (way, closes)) in ENDS.into_iter().enumerate() {
            counts.push(end(&runtime, way, closes, first, args.processes)?);
        }
    }
    if args.locked > 0 {
        counts.push(close_locked(&runtime, args.locked)?);
    }
    let report = table(&counts);
    if counts.iter().all(Count::is_kept) { Ok(report) } else { Err(report) }
}

impl Count {
    fn new(way: impl Into<String>) -> Self {
        Self { way: way.into(), ..Self::default() }
    }

    fn is_kept(&self) -> bool {
        [self.missing, self.malformed, self.left, self.failed] == [0; 4]
    }

    fn judge(&mut self, verdict: Verdict, is_left: bool, what: &str) {
        self.judged += 1;
        self.left += u64::from(is_left);
        self.missing += u64::from(matches!(verdict, Verdict::Missing(_)));
        self.malformed += u64::from(matches!(verdict, Verdict::Malformed(_)));
        match verdict {
            Verdict::Missing(wrong) | Verdict::Malformed(wrong) => self.note(format!("{what}: {wrong}")),
            Verdict::Whole if is_left => self.note(format!("{what}: a WAL is left")),
            Verdict::Whole => {}
        }
    }

    fn fail(&mut self, wrong: String) {
        self.failed += 1;
        self.failure.get_or_insert(wrong);
    }

    fn note(&mut self, wrong: String) {
        self.first.get_or_insert(wrong);
    }
}

/// What a script has printed of a database so far.
#[derive(Default)]
struct Printed {
    path: PathBuf,
    acknowledged: Acknowledged,
}

impl Printed {
    /// Takes a line. Returns what else it says.
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

/// Closes databases and goes on, in one process. Returns the counts right after closing, and once all writes were answered.
fn go_on(runtime: &Runtime, way: &str, rounds: u64) -> Result<Vec<Count>, String> {
    let directory = tempfile::tempdir().map_err(failed("creating a directory"))?;
    // Into files, which keep what a process printed that hangs.
    let [stdout, stderr] = ["stdout", "stderr"].map(|name| directory.path().join(name));
    let create = |path: &Path| File::create(path).map_err(failed("creating a file"));
    let read = |path: &Path| fs::read_to_string(path).map_err(failed("what a script printed"));
    let mut command = runtime.script("close/go_on.ts", directory.path());
    command.arg(directory.path()).args([way, &rounds.to_string()]);
    let child = command.stdout(create(&stdout)?).stderr(create(&stderr)?).spawn().map_err(failed("closing"))?;
    let output = wait(child, TIMEOUT + PER_ROUND * rounds as u32)?;
    let [mut immediately, mut answered] =
        [Count::new(way), Count::new(format!("{way}, once writes in flight were answered"))];
    // A message that was in flight when its file was renamed is reported there, and no failure.
    match output {
        None => immediately.fail(format!("no end: {}", end_of(&read(&stderr)?))),
        Some(output) if !output.status.success() => {
            immediately.fail(format!("{}: {}", output.status, end_of(&read(&stderr)?)))
        }
        Some(_) => {}
    }
    let mut printed = Printed::default();
    for line in read(&stdout)?.lines() {
        let Some(rest) = printed.take(line, &mut immediately) else { continue };
        let mut words = rest.splitn(4, ' ');
        let [Some("judge"), Some(moment), Some(left), Some(copy)] = [(); 4].map(|()| words.next()) else {
            return Err(format!("{way}: {line}"));
        };
        let count = if moment == "answered" { &mut answered } else { &mut immediately };
        count.judge(printed.acknowledged.judge(Path::new(copy)), left == "true", &printed.path.to_string_lossy());
    }
    Ok([immediately, answered].into_iter().filter(|count| count.judged > 0 || !count.is_kept()).collect())
}

/// Ends processes that closed a database before or not, with what is written before from a kind on. Copies of the file are judged.
fn end(runtime: &Runtime, way: &str, closes: bool, first: usize, processes: u64) -> Result<Count, String> {
    let mut count = Count::new(format!("{way}, {}", if closes { "closed" } else { "left open" }));
    let directory = tempfile::tempdir().map_err(failed("creating a directory"))?;
    let kinds = if !closes && way == "end" { &KINDS[..ENDING_KINDS] } else { &KINDS };
    for number in 0..processes {
        let kind = kinds[(first + number as usize) % kinds.len()];
        let path = directory.path().join(format!("{number}.db"));
        let mut command = runtime.script("close/end.ts", directory.path());
        command.arg(&path).args([way, kind, &closes.to_string()]);
        let child = command.spawn().map_err(failed("a process"))?;
        let Some(output) = wait(child, TIMEOUT)? else {
            count.fail(format!("{kind}: no end within {TIMEOUT:?}"));
            continue;
        };
        let stderr = String::from_utf8_lossy(&output.stderr);
        if !stderr.is_empty() && !stderr.contains("planned") {
            count.fail(format!("{kind}: {}: {stderr}", output.status));
        }
        let mut printed = Printed::default();
        for line in String::from_utf8_lossy(&output.stdout).lines() {
            if let Some(other) = printed.take(line, &mut count) {
                return Err(format!("{way}: {other}"));
            }
        }
        let is_left = ["-wal", "-shm"].iter().any(|suffix| beside(&path, suffix).exists());
        let copy = beside(&path, ".copy");
        fs::copy(&path, &copy).map_err(failed("copying a file"))?;
        count.judge(printed.acknowledged.judge(&copy), is_left, kind);
        [path, copy].iter().for_each(|file| remove(file));
    }
    Ok(count)
}

/// Closes databases with a write in flight, while this process holds the write lock.
fn close_locked(runtime: &Runtime, processes: u64) -> Result<Count, String> {
    let mut count = Count::new("close() while another process holds the lock");
    let directory = tempfile::tempdir().map_err(failed("creating a directory"))?;
    for number in 0..processes {
        let path = directory.path().join(format!("{number}.db"));
        let mut command = runtime.script("close/locked.ts", directory.path());
        let mut child = command.arg(&path).stdin(Stdio::piped()).spawn().map_err(failed("a process"))?;
        let mut printed = Printed::default();
        // What is printed before is the first write, whose entry the last one overwrites.
        wait_for_line(&mut child, "ready")?;
        let file = Connection::open(&path).map_err(failed("opening a file"))?;
        file.execute_batch("begin immediate").map_err(failed("locking a file"))?;
        child.stdin.take().ok_or("no input")?.write_all(b"\n").map_err(failed("telling a process"))?;
        thread::sleep(LOCKED);
        file.execute_batch("rollback").map_err(failed("unlocking a file"))?;
        drop(file);
        let Some(output) = wait(child, TIMEOUT)? else {
            count.fail(format!("the write was not answered within {TIMEOUT:?}"));
            continue;
        };
        let stdout = String::from_utf8_lossy(&output.stdout);
        for line in stdout.lines() {
            if let Some(other) = printed.take(line, &mut count) {
                return Err(format!("locked: {other}"));
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
| close: then | files | a write missing | malformed | WAL left | failed | close(), median and longest |
| --- | ---: | ---: | ---: | ---: | ---: | ---: |"
        .to_owned();
    for Count { way, judged, missing, malformed, left, failed, times, .. } in counts {
        let mut times = times.clone();
        times.sort_by(f64::total_cmp);
        let shown = match (times.get(times.len() / 2), times.last()) {
            (Some(median), Some(longest)) => format!("{median:.2} ms, {longest:.1} ms"),
            _ => "–".into(),
        };
        // Writing to a string cannot fail.
        let _ = write!(table, "\n| {way} | {judged} | {missing} | {malformed} | {left} | {failed} | {shown} |");
    }
    for Count { way, rejected, first, failure, .. } in counts {
        if *rejected > 0 {
            let _ = write!(table, "\n{way}: {rejected} writes in flight were rejected");
        }
        for first in [first, failure].into_iter().flatten() {
            let _ = write!(table, "\n{way}: first: {}", first.trim_end());
        }
    }
    table
}

/// Returns the last lines of what a process complained about, where the error is that ended it.
fn end_of(errors: &str) -> String {
    let lines: Vec<_> = errors.lines().collect();
    lines[lines.len().saturating_sub(4)..].join("\n")
}

/// The path of a file whose name has more at its end.
fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// Removes a database: the directory takes the rest with it.
fn remove(path: &Path) {
    for suffix in ["", "-wal", "-shm"] {
        let _ = fs::remove_file(beside(path, suffix));
    }
}
