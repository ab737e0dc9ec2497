use std::collections::HashMap;
use std::num::NonZeroUsize;

use clap::{Arg, ArgMatches, Command, value_parser};
use deno_core::url::Url;
use openkv::testing::{Filter, JunitFile, Paths, ReporterKind, TestOptions, TestRun, Verdict, discover};
use openkv::{Options, Project, Runtime, WatchedFiles, report};
use openkv_js::transpile::MediaType;
use rand::SeedableRng;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;

use super::arguments;
use super::flags::{self, RuntimeFlags};
use super::launch;
use super::outcome::Outcome;
use super::watch::{self, Ended, Watch};

/// `openkv test`: runs the tests in modules.
pub(crate) struct Test {
    /// Files, directories and glob patterns.
    paths: Vec<String>,
    /// Files, directories and glob patterns to exclude.
    ignored: Vec<String>,
    /// `Deno.args`.
    args: Vec<String>,
    /// Whether to load the modules without running them.
    no_run: bool,
    /// Whether to succeed if there are no modules.
    permit_no_files: bool,
    media_type: Option<MediaType>,
    options: TestOptions,
    watch: Option<Watch>,
    flags: RuntimeFlags,
}

/// Flags of Deno for tests that are not supported. Those of all commands are in [`flags`].
const UNSUPPORTED: [(&str, Option<char>, &str); 9] = [
    ("changed", None, "pass the modules on the command line"),
    ("clean", None, "coverage is not collected"),
    ("coverage-raw-data-only", None, "coverage is not collected"),
    ("coverage-threshold", None, "coverage is not collected"),
    ("doc", None, "examples in comments are not run"),
    ("hide-stacktraces", None, "stack traces are always shown"),
    ("related", None, "pass the modules on the command line"),
    ("shard", None, "pass the modules on the command line"),
    ("update-snapshots", Some('u'), "OpenKV has no snapshot tests"),
];

pub(super) fn declare() -> Command {
    let paths = Arg::new("paths").value_name("PATHS").num_args(0..).help(
        "Files, and directories to search for modules that are named test.ts, *_test.ts or *.test.ts (or .tsx, .js, .jsx, \
         .mts, .mjs), or are in __tests__. Defaults to the current directory",
    );
    let count = |name, help| {
        Arg::new(name).long(name).value_name("NUMBER").value_parser(value_parser!(u32)).default_value("0").help(help)
    };
    let command = watch::declare(flags::declare(Command::new("test")))
        .about("Runs the tests in modules")
        .override_usage("openkv test [FLAGS] [PATHS]... [-- ARGS]...")
        .arg(paths)
        .arg(flags::ext())
        .arg(
            Arg::new("args").value_name("ARGS").num_args(0..).last(true).help("The arguments of the tests (Deno.args)"),
        )
        .next_help_heading("Tests")
        .arg(
            arguments::one("filter", "TEXT")
                .value_parser(value_parser!(Filter))
                .help("Run only tests whose names contain a text or match a /regular expression/"),
        )
        .arg(
            optional("fail-fast", "NUMBER")
                .value_parser(value_parser!(NonZeroUsize))
                .default_missing_value("1")
                .help("Stop after a number of failures, 1 by default"),
        )
        .arg(
            optional("shuffle", "SEED")
                .value_parser(value_parser!(u64))
                .help("Shuffle modules and tests, in a reproducible order for each seed"),
        )
        .arg(count("retry", "Retry failed tests, up to this number of times"))
        .arg(count("repeats", "Repeat passed tests this number of times"))
        .arg(
            arguments::switch("sanitize-ops")
                .help("Fail tests that leak operations or timers [env: DENO_TEST_SANITIZE_OPS=1]"),
        )
        .arg(
            arguments::switch("sanitize-resources")
                .help("Fail tests that leak files, sockets or databases [env: DENO_TEST_SANITIZE_RESOURCES=1]"),
        )
        .arg(arguments::list("ignore".into(), "PATH").help("Exclude files and directories"))
        .arg(arguments::switch("no-run").help("Load the modules without running them"))
        .arg(arguments::switch("permit-no-files").help("Succeed if there are no modules to test"))
        .arg(
            Arg::new("reporter")
                .long("reporter")
                .value_name("KIND")
                .value_parser(["pretty", "dot", "junit", "tap"])
                .default_value("pretty")
                .help("The format of the results"),
        )
        .arg(arguments::one("junit-path", "FILE").help("Also write the results as a JUnit report, - for stdout"))
        .arg(arguments::switch("parallel").help("Accepted for compatibility, but modules run sequentially"))
        .arg(arguments::switch("trace-leaks").hide(true));
    flags::unsupported(command, &UNSUPPORTED)
}

pub(super) fn read(matches: &mut ArgMatches) -> Result<Test, clap::Error> {
    flags::check_unsupported(matches, &UNSUPPORTED)?;
    let is_on = |matches: &ArgMatches, flag: &str, variable| {
        matches.get_flag(flag) || std::env::var(variable).is_ok_and(|value| value == "1")
    };
    let flags = RuntimeFlags { is_test: true, ..RuntimeFlags::read(matches)? };
    let shuffle = matches.contains_id("shuffle").then(|| matches.remove_one("shuffle").unwrap_or_else(random_seed));
    let options = TestOptions {
        filter: matches.remove_one("filter"),
        fail_fast: matches.remove_one("fail-fast"),
        shuffle,
        retry: matches.remove_one("retry").unwrap_or_default(),
        repeats: matches.remove_one("repeats").unwrap_or_default(),
        sanitize_ops: is_on(matches, "sanitize-ops", "DENO_TEST_SANITIZE_OPS"),
        sanitize_resources: is_on(matches, "sanitize-resources", "DENO_TEST_SANITIZE_RESOURCES"),
        reporter: match matches.remove_one::<String>("reporter").as_deref() {
            Some("dot") => ReporterKind::Dot,
            Some("junit") => ReporterKind::Junit,
            Some("tap") => ReporterKind::Tap,
            _ => ReporterKind::Pretty,
        },
        junit_file: matches.remove_one::<String>("junit-path").map(|path| match path.as_str() {
            "-" => JunitFile::Stdout,
            path => JunitFile::Path(path.into()),
        }),
    };
    Ok(Test {
        paths: matches.remove_many("paths").into_iter().flatten().collect(),
        ignored: arguments::maybe_list(matches, "ignore").unwrap_or_default(),
        args: matches.remove_many("args").into_iter().flatten().collect(),
        no_run: matches.get_flag("no-run"),
        permit_no_files: matches.get_flag("permit-no-files"),
        media_type: matches.remove_one("ext"),
        options,
        watch: watch::read(matches),
        flags,
    })
}

fn optional(name: &'static str, value: &'static str) -> Arg {
    Arg::new(name).long(name).value_name(value).num_args(0..=1).require_equals(true)
}

/// Returns a random seed that is short enough to type.
fn random_seed() -> u64 {
    rand::random::<u32>().into()
}

/// What a run of tests consists of, after the configuration file has been read.
struct Plan {
    options: TestOptions,
    modules: Vec<Options>,
    /// Where modules were searched.
    searched: Paths,
}

impl Test {
    pub(super) fn execute(self) -> Outcome {
        launch::prepare(&self.flags)?;
        let Some(watch) = &self.watch else {
            let plan = self.plan()?;
            if plan.modules.is_empty() && !self.permit_no_files {
                return Err("No test modules found".into());
            }
            return launch::block_on(self.run(plan))?;
        };
        // The files of each module, by which the modules to run again are chosen.
        let mut files: HashMap<Url, WatchedFiles> = HashMap::new();
        watch.run("Test", &self.flags, async |run| {
            let mut plan = self.plan()?;
            let roots = plan.searched.roots().map_err(|error| error.to_string())?;
            roots.iter().for_each(|path| run.watcher.add_modules(path));
            plan.modules.iter().for_each(|module| run.add_configuration(module));
            plan.modules.retain(|module| {
                let known = files.get(&module.main_module);
                run.changed.is_none_or(|changed| known.is_none_or(|files| files.contains_any(changed)))
            });
            for module in &mut plan.modules {
                let watched = run.watcher.files();
                files.insert(module.main_module.clone(), watched.clone());
                module.watched = Some(watched);
            }
            tokio::select! {
                biased;
                stop = run.next() => Ok(Ended::Stopped(stop)),
                outcome = self.run(plan) => Ok(run.ended(outcome)),
            }
        })
    }

    /// Reads the configuration file of the current directory, and finds the modules.
    fn plan(&self) -> Result<Plan, String> {
        let current = launch::current_directory()?;
        let project = Project::of_directory(&current, &self.flags.modules).map_err(|error| error.to_string())?;
        let mut options = self.options.clone();
        let mut searched = Paths { base: current.clone(), paths: self.paths.clone() };
        let vendored = project.vendor_directory().map(|vendored| vendored.display().to_string());
        let vendored = Paths { base: current.clone(), paths: vendored.into_iter().collect() };
        let mut ignored = vec![vendored, Paths { base: current, paths: self.ignored.clone() }];
        if let Some(base) = project.directory() {
            let test = project.test;
            options.sanitize_ops |= test.sanitize_ops;
            options.sanitize_resources |= test.sanitize_resources;
            if let (true, Some(include)) = (searched.paths.is_empty(), test.include) {
                searched = Paths { base: base.clone(), paths: include };
                if searched.paths.is_empty() {
                    return Ok(Plan { options, modules: Vec::new(), searched });
                }
            }
            // In ascending precedence: exclusions of all commands, those of tests, and those of the command line.
            let configured = [project.exclude, test.exclude].concat();
            ignored.insert(0, Paths { base, paths: configured });
        }
        let mut modules = discover(&searched, &ignored).map_err(|error| error.to_string())?;
        if let Some(seed) = options.shuffle {
            modules.shuffle(&mut StdRng::seed_from_u64(seed));
            if !self.flags.quiet {
                eprintln!("Shuffled with --shuffle={seed}");
            }
        }
        let modules = modules.into_iter().map(|module| self.module(module)).collect::<Result<_, _>>()?;
        Ok(Plan { options, modules, searched })
    }

    fn module(&self, module: Url) -> Result<Options, String> {
        let options = launch::options(&self.flags, module, self.args.clone())?;
        Ok(Options { main_media_type: self.media_type, ..options })
    }

    async fn run(&self, plan: Plan) -> Outcome {
        if self.no_run {
            return load(plan.modules).await;
        }
        match run(plan.options, plan.modules).await? {
            Verdict::Passed => Ok(0),
            Verdict::PassedWithOnly => Err("Test failed because the \"only\" option was used".into()),
            Verdict::Failed => Err("Test failed".into()),
        }
    }
}

async fn load(modules: Vec<Options>) -> Outcome {
    for options in modules {
        let mut runtime = Runtime::new(options).map_err(|error| report(&error))?;
        runtime.load().await.map_err(|error| report(&error))?;
    }
    Ok(0)
}

async fn run(options: TestOptions, modules: Vec<Options>) -> Result<Verdict, String> {
    let mut run = TestRun::new(options).map_err(|error| format!("failed to capture the output of tests: {error}"))?;
    for options in modules {
        run.module(options).await;
        if run.is_over() {
            break;
        }
    }
    Ok(run.end())
}
