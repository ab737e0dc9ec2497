//! `cargo xtask bench --scale`: how OpenKV and Deno behave with many entries, watchers, messages, processes and connections.

mod lines;
mod load;
mod processes;
mod sections;

use std::ffi::OsString;
use std::fs;
use std::process::ExitCode;

use sections::{SECTIONS, Section, Unit};

use super::Scratch;
use super::machine::{self, Condition};
use super::options::{Common, number};
use super::results::times;
use super::runtime::Runtime;
use super::statistics::median;
use super::table::{markdown, thousands};
use super::targets::{self, Target};

/// The command-line options.
struct Options {
    common: Common,
    /// The sections to measure, with the greatest point of each.
    sections: Vec<(&'static Section, usize)>,
}

/// The values of a section.
struct Measured {
    section: &'static Section,
    points: Vec<Point>,
}

/// The values at a point: a number of entries, of processes and the like.
struct Point {
    number: usize,
    /// For each measure of the section, the values of the rounds of OpenKV and Deno.
    values: Vec<[Vec<f64>; 2]>,
}

impl Measured {
    /// Returns the medians of OpenKV and Deno of a measure at a point. `None` if the point was not measured.
    fn medians(&self, measure: &str, number: usize) -> Option<[f64; 2]> {
        let index = self.section.measures.iter().position(|(name, ..)| *name == measure)?;
        let point = self.points.iter().find(|point| point.number == number)?;
        let [ours, theirs] = &point.values[index];
        Some([median(ours), median(theirs)])
    }
}

/// Runs the benchmarks, prints the tables, and writes them with charts to `benches` if they are complete.
pub fn bench(args: &[OsString]) -> Result<ExitCode, String> {
    let options = parse(args)?;
    let runtimes = [options.common.openkv()?, options.common.deno()?];
    let mut conditions = Vec::new();
    let mut all = Vec::new();
    for (section, greatest) in &options.sections {
        all.push(measure(section, *greatest, &options.common, &runtimes, &mut conditions)?);
    }
    let mut page = format!(
        "{} and {}, medians of {} rounds, {}. {}.\n",
        runtimes[0].version,
        runtimes[1].version,
        options.common.rounds,
        machine::today(),
        Condition::describe(&conditions)
    );
    for measured in &all {
        page += &format!("\n## {}\n\n{}", measured.section.title, table(measured));
    }
    page += &targets::section(&targets(&all));
    println!("{page}");
    if all.len() == SECTIONS.len() {
        let head = "# Results\n\nWritten by `cargo xtask bench --scale`; [how to read it](README.md).\n\n";
        let chart = "\n![The values as charts](scale.svg)\n";
        super::write([("scale.md", format!("{head}{page}{chart}")), ("scale.svg", lines::draw(&all))])?;
    } else {
        eprintln!("xtask: benches/scale.md is unchanged, because not all sections ran");
    }
    Ok(ExitCode::SUCCESS)
}

fn parse(args: &[OsString]) -> Result<Options, String> {
    let mut common = Common::with_rounds(3);
    let mut greatest: Vec<usize> = SECTIONS.iter().map(|section| section.points[section.points.len() - 1]).collect();
    let mut selected = [false; SECTIONS.len()];
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        let arg = arg.to_str().unwrap_or_default();
        let bounded = arg.strip_prefix("--max-").unwrap_or_default();
        if let Some(i) = SECTIONS.iter().position(|section| section.name == arg) {
            selected[i] = true;
        } else if let Some(i) = SECTIONS.iter().position(|section| section.name == bounded) {
            greatest[i] = number(arg, &mut args)?;
        } else if !common.take(arg, &mut args)? {
            return Err(format!("unknown option or section {arg:?}\n\n{}", crate::USAGE));
        }
    }
    let everything = !selected.contains(&true);
    let sections = SECTIONS.iter().zip(greatest).zip(selected);
    Ok(Options {
        common,
        sections: sections.filter(|(_, selected)| everything || *selected).map(|(section, _)| section).collect(),
    })
}

/// Measures a section in rounds. The runtimes alternate at each point, each time with an empty directory.
fn measure(
    section: &'static Section,
    greatest: usize,
    common: &Common,
    runtimes: &[Runtime; 2],
    conditions: &mut Vec<Condition>,
) -> Result<Measured, String> {
    let numbers = section.points.iter().copied().filter(|number| *number <= greatest);
    let mut points: Vec<_> =
        numbers.map(|number| Point { number, values: vec![Default::default(); section.measures.len()] }).collect();
    for round in 0..common.rounds {
        for point in &mut points {
            eprintln!("xtask: {}, {}: round {} of {}", section.title, point.number, round + 1, common.rounds);
            for i in 0..runtimes.len() {
                let i = (i + round) % runtimes.len();
                let scratch = Scratch::new()?;
                if i == 0 {
                    conditions.push(Condition::measure(&scratch.0)?);
                }
                let values = section.run(&runtimes[i], point.number, &scratch.0)?;
                for (measure, value) in point.values.iter_mut().zip(values) {
                    measure[i].push(value);
                }
                fs::remove_dir_all(&scratch.0).map_err(|error| format!("failed to remove {:?}: {error}", scratch.0))?;
            }
        }
    }
    Ok(Measured { section, points })
}

/// Returns a table with a line for each measure and point.
fn table(measured: &Measured) -> String {
    let section = measured.section;
    let mut lines = vec![["measure", section.unit, "OpenKV", "Deno", "ratio"].map(str::to_owned).to_vec()];
    for (name, title, unit) in section.measures {
        for point in &measured.points {
            let Some([ours, theirs]) = measured.medians(name, point.number) else { continue };
            lines.push(vec![
                (*title).to_owned(),
                thousands(point.number as f64).trim_end_matches(".0").to_owned(),
                unit.format(ours),
                unit.format(theirs),
                times(unit.ratio(ours, theirs)),
            ]);
        }
    }
    markdown(&lines)
}

/// Returns the targets.
fn targets(all: &[Measured]) -> Vec<Target> {
    let medians = |name: &str, measure: &str, number: usize| {
        all.iter().find(|measured| measured.section.name == name)?.medians(measure, number)
    };
    let served = |measure: &str| medians("connections", measure, 16).map(|[ours, theirs]| ours / theirs);
    let slowest = ["plain-999", "get-999", "counter-999"].map(served);
    let slowest = slowest.into_iter().flatten().reduce(f64::max);
    let get = |number| medians("entries", "get", number).map(|[ours, _]| ours);
    let latency = medians("processes", "999", 8).map(|[ours, _]| ours);
    vec![
        Target::other(
            "8 processes: 99.9 % of sets",
            "≤ 100 ms",
            latency.map(|latency| (Unit::Milliseconds.format(latency), latency <= 100.0)),
        ),
        Target::at_least(
            "8 processes: sets, compared with Deno",
            1.0,
            medians("processes", "rate", 8).map(|[ours, theirs]| ours / theirs),
        ),
        Target::at_least("plain request, compared with Deno", 1.0, served("plain")),
        Target::at_least("request with a get, compared with Deno", 2.0, served("get")),
        Target::at_least("request with the counter, compared with Deno", 3.0, served("counter")),
        Target::at_most("99.9 % of requests, highest ratio to Deno", 1.0, slowest),
        Target::at_most(
            "get, time of 10,000,000 entries to 100,000",
            1.5,
            get(100_000).zip(get(10_000_000)).map(|(few, many)| few / many),
        ),
    ]
}
