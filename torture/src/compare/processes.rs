//! What several processes do together.

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

/// The last line that a script printed, which is an object.
fn last(printed: &str) -> Result<Value, String> {
    serde_json::from_str(printed.lines().last().unwrap_or_default()).map_err(failed("a script"))
}

pub(super) fn race(setting: &Setting) -> Figures {
    let (processes, times) = (8, setting.size(200, 50));
    // An end for those that are rejected for ever.
    let args = [times.to_string(), TIMEOUT.as_secs().to_string()];
    let begin = Instant::now();
    let children: Vec<_> = (0..processes).map(|_| start(setting, "race.ts", &args)).collect::<Result<_, _>>()?;
    let mut sums = [0_u64; 3];
    let mut slowest = 0.0_f64;
    for child in children {
        let told = last(&finish(child, 2 * TIMEOUT)?)?;
        for (sum, name) in sums.iter_mut().zip(["done", "lost", "errors"]) {
            *sum += told[name].as_u64().unwrap_or_default();
        }
        slowest = slowest.max(told["slowest"].as_f64().unwrap_or_default());
    }
    let seconds = begin.elapsed().as_secs_f64();
    let file = Connection::open(setting.directory.path().join(DATABASE)).map_err(failed("the database"))?;
    // The only entry.
    let number: Vec<u8> = file.query_row("select v from kv", [], |row| row.get(0)).map_err(failed("the number"))?;
    let number = number.try_into().map(u64::from_le_bytes).unwrap_or_default();

    let (expected, [done, lost, errors]) = (u64::from(processes * times), sums);
    Ok(vec![
        Figure::new("increments asked for", expected, true),
        Figure::new("the number at the end", number, number == expected),
        Figure::new("increments that were answered with ok", done, done == expected),
        Figure::new("lost races, answered with `{ ok: false }` and tried again", lost, true),
        Figure::new("operations rejected with an error, and tried again", errors, errors == 0),
        Figure::new("time for all", format!("{seconds:.1} s"), true),
        Figure::new("slowest operation", format!("{slowest:.0} ms"), true),
    ])
}

pub(super) fn redelivery(setting: &Setting) -> Figures {
    let (messages, kills) = (setting.size(400, 100), setting.size(3, 1));
    run(setting, "fill.ts", &[messages])?;
    // Told to the listener that comes after a kill.
    let mut killed = 0;
    for _ in 0..kills {
        let mut listener = listen(setting, killed)?;
        for _ in 0..messages / (2 * kills) {
            wait_for_line(&mut listener, "acknowledged")?;
        }
        listener.kill().and_then(|()| listener.wait()).map_err(failed("a listener"))?;
        killed = SystemTime::now().duration_since(UNIX_EPOCH).map_err(failed("the time"))?.as_millis();
    }
    let mut listener = listen(setting, killed)?;
    let left = wait_until_empty(setting)?;
    drop(listener.stdin.take());
    let told = last(&finish(listener, TIMEOUT)?)?;

    let mut delays: Vec<_> = told["delays"].as_array().into_iter().flatten().filter_map(Value::as_f64).collect();
    delays.sort_by(f64::total_cmp);
    let seconds = |delay: Option<&f64>| delay.map_or("–".into(), |delay| format!("{:.1} s", delay / 1000.0));
    let (handled, again) = (told["handled"].as_u64().unwrap_or_default(), told["again"].as_u64().unwrap_or_default());
    Ok(vec![
        Figure::new("messages", messages, true),
        Figure::new("kills of the listener", kills, true),
        Figure::new("messages that were handled to the end", handled, handled == u64::from(messages) && left == 0),
        Figure::new("deliveries of messages that were known to be done", again, again == 0),
        Figure::new("messages in flight at a kill, which came again after the last", delays.len(), true),
        Figure::new("from the last kill until they came again, median", seconds(delays.get(delays.len() / 2)), true),
        Figure::new("from the last kill until they came again, longest", seconds(delays.last()), true),
    ])
}

fn listen(setting: &Setting, killed: u128) -> Result<Child, String> {
    let mut command = setting.runtime.script("compare/redelivery.ts", setting.directory.path());
    command.args([DATABASE, &killed.to_string()]).stdin(Stdio::piped()).spawn().map_err(failed("a listener"))
}

/// Waits until no message is in the queue, or in flight. Returns how many are, once timeout has ended.
fn wait_until_empty(setting: &Setting) -> Result<u32, String> {
    let file = Connection::open(setting.directory.path().join(DATABASE)).map_err(failed("the database"))?;
    let count = "select (select count(*) from queue) + (select count(*) from queue_running)";
    let begin = Instant::now();
    loop {
        let left = file.query_row(count, [], |row| row.get(0)).map_err(failed("the queue"))?;
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
