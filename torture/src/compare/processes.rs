//! Comparisons with several processes.

use std::process::{Child, Stdio};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rusqlite::Connection;
use serde_json::Value;

use super::scripts::run;
use super::{Figure, Figures, Setting, TIMEOUT};
use crate::failed;
use crate::runtime::{finish, wait_for_line};

const DATABASE: &str = "kv.sqlite3";

fn start(setting: &Setting, script: &str, args: &[String]) -> Result<Child, String> {
    let mut command = setting.runtime.script(&format!("compare/{script}"), setting.directory.path());
    command.arg(DATABASE).args(args).spawn().map_err(failed(script))
}

/// Parses the last line that a script printed, which is an object.
fn last(printed: &str) -> Result<Value, String> {
    serde_json::from_str(printed.lines().last().unwrap_or_default()).map_err(failed("the output of a script"))
}

pub(super) fn race(setting: &Setting) -> Figures {
    let (processes, times) = (8, setting.size(200, 50));
    // A deadline, in case every commit is rejected.
    let args = [times.to_string(), TIMEOUT.as_secs().to_string()];
    let begin = Instant::now();
    let children: Vec<_> = (0..processes).map(|_| start(setting, "race.ts", &args)).collect::<Result<_, _>>()?;
    let mut sums = [0_u64; 3];
    let mut slowest = 0.0_f64;
    for child in children {
        let report = last(&finish(child, 2 * TIMEOUT)?)?;
        for (sum, name) in sums.iter_mut().zip(["done", "lost", "errors"]) {
            *sum += report[name].as_u64().unwrap_or_default();
        }
        slowest = slowest.max(report["slowest"].as_f64().unwrap_or_default());
    }
    let seconds = begin.elapsed().as_secs_f64();
    let file = Connection::open(setting.directory.path().join(DATABASE)).map_err(failed("opening the database"))?;
    // The only entry.
    let number: Vec<u8> =
        file.query_row("select v from kv", [], |row| row.get(0)).map_err(failed("reading the number"))?;
    let number = number.try_into().map(u64::from_le_bytes).unwrap_or_default();

    let (expected, [done, lost, errors]) = (u64::from(processes * times), sums);
    Ok(vec![
        Figure::new("increments", expected, true),
        Figure::new("final number", number, number == expected),
        Figure::new("commits that returned `{ ok: true }`", done, done == expected),
        Figure::new("lost races that returned `{ ok: false }` and were retried", lost, true),
        Figure::new("operations that were rejected with an error and retried", errors, errors == 0),
        Figure::new("total time", format!("{seconds:.1} s"), true),
        Figure::new("slowest operation", format!("{slowest:.0} ms"), true),
    ])
}

pub(super) fn redelivery(setting: &Setting) -> Figures {
    let (messages, kills) = (setting.size(400, 100), setting.size(3, 1));
    run(setting, "fill.ts", &[messages])?;
    // The time of the last kill, for the next listener.
    let mut killed = 0;
    for _ in 0..kills {
        let mut listener = listen(setting, killed)?;
        for _ in 0..messages / (2 * kills) {
            wait_for_line(&mut listener, "acknowledged")?;
        }
        listener.kill().and_then(|()| listener.wait()).map_err(failed("killing a listener"))?;
        killed = SystemTime::now().duration_since(UNIX_EPOCH).map_err(failed("the time"))?.as_millis();
    }
    let mut listener = listen(setting, killed)?;
    let left = wait_until_empty(setting)?;
    drop(listener.stdin.take());
    let report = last(&finish(listener, TIMEOUT)?)?;

    let mut delays: Vec<_> = report["delays"].as_array().into_iter().flatten().filter_map(Value::as_f64).collect();
    delays.sort_by(f64::total_cmp);
    let seconds = |delay: Option<&f64>| delay.map_or("–".into(), |delay| format!("{:.1} s", delay / 1000.0));
    let [handled, redelivered] = ["handled", "redelivered"].map(|name| report[name].as_u64().unwrap_or_default());
    Ok(vec![
        Figure::new("messages", messages, true),
        Figure::new("kills of the listener", kills, true),
        Figure::new("handled messages", handled, handled == u64::from(messages) && left == 0),
        Figure::new("redeliveries of messages that were known to be handled", redelivered, redelivered == 0),
        Figure::new("messages in flight at a kill, redelivered after the last one", delays.len(), true),
        Figure::new("time from the last kill to redelivery, median", seconds(delays.get(delays.len() / 2)), true),
        Figure::new("time from the last kill to redelivery, longest", seconds(delays.last()), true),
    ])
}

fn listen(setting: &Setting, killed: u128) -> Result<Child, String> {
    let mut command = setting.runtime.script("compare/redelivery.ts", setting.directory.path());
    command.args([DATABASE, &killed.to_string()]).stdin(Stdio::piped()).spawn().map_err(failed("starting a listener"))
}

/// Waits until no message is in the queue or in flight. Returns the number of those that are left at the timeout.
fn wait_until_empty(setting: &Setting) -> Result<u32, String> {
    let file = Connection::open(setting.directory.path().join(DATABASE)).map_err(failed("opening the database"))?;
    let count = "select (select count(*) from queue) + (select count(*) from queue_running)";
    let begin = Instant::now();
    loop {
        let left = file.query_row(count, [], |row| row.get(0)).map_err(failed("reading the queue"))?;
        if left == 0 || begin.elapsed() > TIMEOUT {
            return Ok(left);
        }
        thread::sleep(Duration::from_millis(50));
    }
}

pub(super) fn across(setting: &Setting) -> Figures {
    // Longer in tests, which run on busy machines.
    let seconds = setting.size(5, 60);
    let mut observer = start(setting, "observe.ts", &[seconds.to_string()])?;
    wait_for_line(&mut observer, "ready")?;
    run(setting, "act.ts", &[])?;
    finish(observer, TIMEOUT).map(|printed| Figure::all(&printed))
}
