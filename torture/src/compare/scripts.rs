//! Comparisons with a single script.

use rusqlite::Connection;

use super::{Figure, Figures, Setting, TIMEOUT};
use crate::failed;
use crate::runtime::finish;

/// Runs a script with a database and more arguments. Returns what it printed.
pub(super) fn run(setting: &Setting, script: &str, args: &[u32]) -> Result<String, String> {
    let mut command = setting.runtime.script(&format!("compare/{script}"), setting.directory.path());
    command.arg("kv.sqlite3").args(args.iter().map(u32::to_string));
    finish(command.spawn().map_err(failed(script))?, TIMEOUT).map_err(failed(script))
}

pub(super) fn atomicity(setting: &Setting) -> Figures {
    let times = setting.size(1000, 100);
    let printed = run(setting, "atomicity.ts", &[times])?;
    let mut figures = Figure::all(&printed);
    let file = Connection::open(setting.directory.path().join("kv.sqlite3")).map_err(failed("opening the database"))?;
    let messages: u32 =
        file.query_row("select count(*) from queue", [], |row| row.get(0)).map_err(failed("reading the queue"))?;
    let rejected = printed.lines().last().unwrap_or_default();
    let shown = format!("{rejected} of {times} rejected, {messages} enqueued");
    let holds = rejected == times.to_string() && messages == 0;
    figures.push(Figure::new("`enqueue`, then `sum` of a string", shown, holds));
    Ok(figures)
}

pub(super) fn expiry(setting: &Setting) -> Figures {
    run(setting, "expiry.ts", &[setting.size(200, 50), 90]).map(|printed| Figure::all(&printed))
}

pub(super) fn slow(setting: &Setting) -> Figures {
    run(setting, "slow.ts", &[90]).map(|printed| Figure::all(&printed))
}

pub(super) fn delay(setting: &Setting) -> Figures {
    run(setting, "delay.ts", &[setting.size(200, 20)]).map(|printed| Figure::all(&printed))
}

pub(super) fn in_flight(setting: &Setting) -> Figures {
    let mut figures = vec![syncs(setting)?];
    figures.extend(Figure::all(&run(setting, "reads.ts", &[500])?));
    Ok(figures)
}

/// Counts disk syncs with strace, if it is installed.
fn syncs(setting: &Setting) -> Result<Figure, String> {
    const COUNTS: &str = "syncs";
    let strace = ["strace", "--follow-forks", "--summary-only", "--trace=fdatasync,fsync", "--output", COUNTS];
    let mut command = setting.runtime.within(&strace, "compare/syncs.ts", setting.directory.path());
    let child = match command.args(["kv.sqlite3", "500"]).spawn() {
        Ok(child) => child,
        Err(_) => return Ok(Figure::new("disk syncs", "not counted, without strace", true)),
    };
    finish(child, TIMEOUT)?;
    let counts = std::fs::read_to_string(setting.directory.path().join(COUNTS)).map_err(failed(COUNTS))?;
    // The columns: share of the time, seconds, microseconds per call, calls, name.
    let calls = counts.lines().filter(|line| line.ends_with("sync"));
    let syncs: u32 = calls.filter_map(|line| line.split_whitespace().nth(3)?.parse::<u32>().ok()).sum();
    Ok(Figure::new("disk syncs, including opening and closing", syncs, syncs < 100))
}
