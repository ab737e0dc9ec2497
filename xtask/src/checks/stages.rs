//! The stages of a check, and a table of how long each took.

use std::process::ExitCode;
use std::time::{Duration, Instant};

/// How a stage ended.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    Passed,
    Failed,
    /// What the stage needs is not installed, and not required.
    Skipped,
}

impl From<bool> for Outcome {
    fn from(passed: bool) -> Self {
        if passed { Self::Passed } else { Self::Failed }
    }
}

/// A part of a check.
pub struct Stage<'a> {
    name: &'static str,
    work: Box<dyn Fn() -> Result<Outcome, String> + 'a>,
}

impl<'a> Stage<'a> {
    pub fn new<T: Into<Outcome>>(name: &'static str, work: impl Fn() -> Result<T, String> + 'a) -> Self {
        Self { name, work: Box::new(move || work().map(Into::into)) }
    }
}

/// Runs stages until one fails, and prints how long each took.
pub fn run(stages: &[Stage]) -> ExitCode {
    let mut rows = Vec::new();
    for Stage { name, work } in stages {
        let start = Instant::now();
        let outcome = work().unwrap_or_else(|message| {
            eprintln!("xtask: {message}");
            Outcome::Failed
        });
        rows.push((*name, outcome, start.elapsed()));
        println!("xtask: {}", row(rows[rows.len() - 1]));
        if outcome == Outcome::Failed {
            break;
        }
    }
    println!("\n{}", table(&rows));
    let passed = rows.iter().all(|(_, outcome, _)| *outcome != Outcome::Failed);
    if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn table(rows: &[(&str, Outcome, Duration)]) -> String {
    let mut lines: Vec<_> = rows.iter().copied().map(row).collect();
    let total: Duration = rows.iter().map(|(.., duration)| *duration).sum();
    lines.push(format!("{:<24} {:>8}", "total", time(total)));
    lines.join("\n")
}

fn row((name, outcome, duration): (&str, Outcome, Duration)) -> String {
    let outcome = match outcome {
        Outcome::Passed => "",
        Outcome::Failed => " failed",
        Outcome::Skipped => " skipped",
    };
    format!("{name:<24} {:>8}{outcome}", time(duration))
}

/// Formats a duration, as in `12:05`.
fn time(duration: Duration) -> String {
    let seconds = duration.as_secs_f64().round() as u64;
    format!("{}:{:02}", seconds / 60, seconds % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table_has_outcomes_and_total() {
        let rows = [
            ("formatting", Outcome::Passed, Duration::from_secs(2)),
            ("fuzzing", Outcome::Skipped, Duration::ZERO),
            ("tests", Outcome::Failed, Duration::from_millis(61_500)),
        ];
        let expected = "\
formatting                   0:02
fuzzing                      0:00 skipped
tests                        1:02 failed
total                        1:04";
        assert_eq!(table(&rows), expected);
    }

    #[test]
    fn failed_stage_is_the_last() {
        let ran = std::cell::Cell::new(0);
        let stage = |result: Result<bool, String>| {
            Stage::new("stage", {
                let ran = &ran;
                move || {
                    ran.set(ran.get() + 1);
                    result.clone()
                }
            })
        };
        let stages = [stage(Ok(true)), stage(Err("reason".into())), stage(Ok(true))];
        assert_eq!(format!("{:?}", run(&stages)), format!("{:?}", ExitCode::FAILURE));
        assert_eq!(ran.get(), 2);
    }
}
