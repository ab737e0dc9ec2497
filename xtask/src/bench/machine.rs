//! Describes the machine and the date of a measurement.

use std::fs::File;
use std::io::{self, Seek, Write};
use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use std::{env, fs, thread};

use super::statistics::{extremes, median};

/// The maximum load of a machine that counts as idle.
const IDLE: f64 = 0.05;

/// How long to measure the load.
const INTERVAL: Duration = Duration::from_secs(1);

/// The number of syncs to time.
const SYNCS: usize = 100;

/// The page to write before each sync.
const PAGE: [u8; 4096] = [0; 4096];

/// The state of the machine between the rounds.
pub struct Condition {
    /// The load. `None` if it is unknown.
    busy: Option<f64>,
    /// The duration of a disk sync after overwriting a page, in milliseconds.
    sync: f64,
}

impl Condition {
    /// Measures the machine, with a file in a directory.
    pub fn measure(directory: &Path) -> Result<Self, String> {
        let path = directory.join("sync");
        let sync = sync(&path).map_err(|error| format!("failed to write {path:?}: {error}"))?;
        Ok(Self { busy: busy(), sync })
    }

    /// Describes the machine over all rounds: its maximum load, and the shortest and longest sync.
    pub fn describe(conditions: &[Self]) -> String {
        let syncs: Vec<_> = conditions.iter().map(|condition| condition.sync).collect();
        let (shortest, longest) = extremes(&syncs);
        let busy = match conditions.iter().filter_map(|condition| condition.busy).reduce(f64::max) {
            Some(busy) if busy > IDLE => {
                format!(", up to {:.0} % load from other programs: the numbers are provisional", busy * 100.0)
            }
            Some(_) => ", idle".into(),
            None => String::new(),
        };
        let cores = thread::available_parallelism().map_or("unknown".into(), |cores| cores.to_string());
        format!(
            "{cores} cores, {} {}{busy}. A disk sync took {shortest:.2} to {longest:.2} ms",
            env::consts::OS,
            env::consts::ARCH
        )
    }
}

fn sync(path: &Path) -> io::Result<f64> {
    let mut file = File::create(path)?;
    let mut times = Vec::new();
    for _ in 0..SYNCS {
        let start = Instant::now();
        file.rewind()?;
        file.write_all(&PAGE)?;
        file.sync_data()?;
        times.push(start.elapsed().as_secs_f64() * 1000.0);
    }
    Ok(median(&times))
}

fn busy() -> Option<f64> {
    let (idle, all) = times()?;
    thread::sleep(INTERVAL);
    let (idle_after, all_after) = times()?;
    let passed = all_after.checked_sub(all).filter(|passed| *passed > 0)?;
    Some(1.0 - idle_after.saturating_sub(idle) as f64 / passed as f64)
}

/// Returns the idle time of the cores, and their total time. Waiting for the disk is not idle: another program uses the disk then.
fn times() -> Option<(u64, u64)> {
    let stat = fs::read_to_string("/proc/stat").ok()?;
    let fields: Vec<u64> = stat.lines().next()?.split_whitespace().skip(1).flat_map(str::parse).collect();
    Some((*fields.get(3)?, fields.iter().sum()))
}

/// Returns the date, as in 2026-11-21.
pub fn today() -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    date(now.as_secs() / (24 * 60 * 60))
}

/// Returns the date of a day, counted from 1970-01-01.
fn date(mut day: u64) -> String {
    let is_leap = |year: u64| year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let mut year = 1970;
    while day >= 365 + u64::from(is_leap(year)) {
        day -= 365 + u64::from(is_leap(year));
        year += 1;
    }
    let mut month = 1;
    for days in [31, 28 + u64::from(is_leap(year)), 31, 30, 31, 30, 31, 31, 30, 31, 30] {
        if day < days {
            break;
        }
        day -= days;
        month += 1;
    }
    format!("{year}-{month:02}-{:02}", day + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_computed_from_days() {
        let days = [0, 58, 59, 364, 365, 11_016, 11_017, 20_512, 20_513].map(date);
        let dates = [
            "1970-01-01",
            "1970-02-28",
            "1970-03-01",
            "1970-12-31",
            "1971-01-01",
            "2000-02-29",
            "2000-03-01",
            "2026-02-28",
            "2026-03-01",
        ];
        assert_eq!(days, dates);
    }
}
