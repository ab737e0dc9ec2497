//! `openkv task`: runs the tasks of `deno.json`, and the scripts of `package.json`.

mod list;
mod output;
mod plan;
mod schedule;
mod shell;

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::{Arg, ArgMatches, Command, value_parser};
use deno_config::workspace::{
    WorkspaceDirectory, WorkspaceDirectoryRc, WorkspaceDiscoverOptions, WorkspaceDiscoverStart,
};
use deno_terminal::colors;
use sys_traits::impls::RealSys;

use super::arguments::{list as list_flag, maybe_list, one, optional, switch};
use super::env_file;
use super::launch;
use super::outcome::{Outcome, print};
use plan::{Failure, Plan};
use schedule::Limits;

/// `openkv task`, with its arguments.
pub(crate) struct Task {
    /// The name, or with `eval` the commands. Without it, the tasks are listed.
    name: Option<String>,
    args: Vec<String>,
    directory: Option<PathBuf>,
    config: Option<String>,
    /// The pattern of the names of workspace members in which the task runs, if not only in the current one.
    members: Option<String>,
    /// Whether the root of the workspace is left out of `members`.
    without_root: bool,
    eval: bool,
    if_present: bool,
    prefix: bool,
    jobs: Option<NonZeroUsize>,
    env_files: Vec<String>,
    quiet: bool,
}

/// Flags of Deno that configure the installation of npm packages.
const ACCEPTED: [&str; 4] = ["node-modules-dir", "lock", "no-lock", "frozen-lockfile"];

pub(super) fn declare() -> Command {
    let task = Arg::new("task")
        .value_names(["TASK", "ARGS"])
        .num_args(0..)
        .trailing_var_arg(true)
        .help("The name of the task, in which * stands for any text, and its arguments");
    Command::new("task")
        .about("Runs a task of deno.json or a script of package.json")
        .override_usage("openkv task [FLAGS] [TASK] [ARGS]...")
        .after_help(
            "Without a name, the tasks are listed. In tasks, `deno` is this program for the commands that it has.",
        )
        .arg(one("cwd", "DIRECTORY").help("The directory to run the task in"))
        .arg(one("config", "FILE").short('c').help("The configuration file"))
        .arg(switch("recursive").short('r').help("Run the task in all members of the workspace"))
        .arg(switch("members").help("Run the task in all members of the workspace, but not in its root"))
        .arg(one("filter", "NAME").short('f').help("Run the task in the members of the workspace with this name"))
        .arg(switch("eval").help("Run TASK as the commands of a task"))
        .arg(switch("if-present").help("Succeed if the task does not exist"))
        .arg(switch("no-prefix").help("Print the output of concurrent tasks without their names"))
        .arg(
            Arg::new("jobs")
                .long("jobs")
                .short('j')
                .value_name("NUMBER")
                .value_parser(value_parser!(NonZeroUsize))
                .help("The number of tasks that run concurrently [env: DENO_JOBS]"),
        )
        .arg(list_flag("env-file".into(), "FILE").help("Set environment variables that are not set yet from a file"))
        .arg(switch("quiet").short('q').help("Print errors and the output of tasks only"))
        .args(ACCEPTED.map(optional))
        .arg(task)
}

pub(super) fn read(matches: &mut ArgMatches) -> Task {
    let mut task = matches.remove_many("task").into_iter().flatten();
    let without_root = matches.get_flag("members");
    let everywhere = without_root || matches.get_flag("recursive");
    let name = task.next();
    let args = task.collect();
    let from_environment = || std::env::var("DENO_JOBS").ok()?.parse().ok();
    let env_files = maybe_list(matches, "env-file")
        .map(|files| if files.is_empty() { vec![".env".into()] } else { files })
        .unwrap_or_default();
    Task {
        name,
        args,
        directory: matches.remove_one::<String>("cwd").map(PathBuf::from),
        config: matches.remove_one("config"),
        members: matches.remove_one("filter").or_else(|| everywhere.then(|| "*".into())),
        without_root,
        eval: matches.get_flag("eval"),
        if_present: matches.get_flag("if-present"),
        prefix: !matches.get_flag("no-prefix"),
        jobs: matches.remove_one("jobs").or_else(from_environment),
        env_files,
        quiet: matches.get_flag("quiet"),
    }
}

impl Task {
    pub(super) fn execute(self) -> Outcome {
        // SAFETY: there is no other thread yet.
        for error in unsafe { env_file::load(&self.env_files) } {
            eprintln!("{} {error}", colors::yellow("Warning"));
        }
        let initial = launch::current_directory()?;
        let directory = self.directory.as_ref().map_or_else(|| initial.clone(), |directory| initial.join(directory));
        if !directory.is_dir() {
            return Err(format!("No such directory: {directory:?}"));
        }
        let found = self.discover(&directory)?;
        let tasks = found.to_tasks_config().map_err(|error| format!("{:#}", Causes(&error)))?;
        let Some(name) = &self.name else { return print(&list::available(&found, &tasks)) };
        let plan = match (self.eval, &self.members) {
            (true, _) => Plan::of_commands(name, &directory, &self.args),
            (false, None) => Plan::new(&[(None, tasks.clone())], name, &self.args),
            (false, Some(pattern)) => Plan::new(&self.member_tasks(&found, pattern)?, name, &self.args),
        };
        let plan = match plan {
            Ok(plan) => plan.with_directory(self.directory.is_some().then_some(directory)),
            Err(Failure::NotFound(_)) if self.if_present => return Ok(0),
            Err(Failure::NotFound(_)) if self.members.is_some() => {
                let message = format!("No matching task or script '{name}' found in selected packages.");
                eprintln!("{}", colors::red(message));
                return Ok(0);
            }
            Err(Failure::NotFound(name)) => {
                eprintln!("Task not found: {name}");
                eprint!("{}", list::available(&found, &tasks));
                return Ok(1);
            }
            Err(Failure::Cycle(names)) => {
                eprintln!("Task cycle detected: {}", names.join(" -> "));
                return Ok(1);
            }
        };
        let jobs = self.jobs.or_else(|| std::thread::available_parallelism().ok());
        let limits = Limits { jobs: jobs.map_or(1, NonZeroUsize::get), prefix: self.prefix, quiet: self.quiet };
        launch::block_on(schedule::run(plan, limits, &initial))?
    }

    fn discover(&self, directory: &std::path::Path) -> Result<WorkspaceDirectoryRc, String> {
        let config = self.config.as_ref().map(|file| directory.join(file));
        let directories = [directory.to_owned()];
        let start = match &config {
            Some(file) => WorkspaceDiscoverStart::ConfigFile(file),
            None => WorkspaceDiscoverStart::Paths(&directories),
        };
        let options = WorkspaceDiscoverOptions { discover_pkg_json: true, ..Default::default() };
        let found =
            WorkspaceDirectory::discover(&RealSys, start, &options).map_err(|error| format!("{:#}", Causes(&error)))?;
        if !found.has_deno_or_pkg_json() && !self.eval {
            return Err(
                "openkv task couldn't find deno.json(c) or package.json. See https://docs.deno.com/go/config".into()
            );
        }
        Ok(found)
    }

    /// Returns the tasks of the workspace members with matching names, after those that they depend on.
    fn member_tasks(&self, found: &WorkspaceDirectory, pattern: &str) -> Result<Vec<plan::Member>, String> {
        let workspace = &found.workspace;
        let mut members = Vec::new();
        for (url, files) in workspace.config_folders_sorted_by_dependencies() {
            let is_root = **url == **workspace.root_dir_url();
            let of_deno = files.deno_json.as_ref().and_then(|file| file.json.name.clone());
            let name = of_deno.or_else(|| files.pkg_json.as_ref().and_then(|file| file.name.clone()));
            let is_selected = pattern == "*" || name.as_ref().is_some_and(|name| plan::matches(pattern, name));
            if is_selected && !(is_root && self.without_root) {
                let tasks = workspace.resolve_member_dir(url).to_tasks_config();
                members.push((name.filter(|_| !is_root), tasks.map_err(|error| format!("{:#}", Causes(&error)))?));
            }
        }
        Ok(members)
    }
}

/// Displays an error with its causes.
struct Causes<'a>(&'a dyn std::error::Error);

impl std::fmt::Display for Causes<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0)?;
        let causes = std::iter::successors(self.0.source(), |error| error.source());
        for cause in causes {
            write!(f, ": {cause}")?;
        }
        Ok(())
    }
}
