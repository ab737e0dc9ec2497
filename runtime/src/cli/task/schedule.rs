use std::ffi::OsString;
use std::io;
use std::path::Path;

use deno_task_shell::{KillSignal, ShellPipeWriter, SignalKind};
use deno_terminal::colors;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;

use super::output::prefixed;
use super::plan::{Node, Plan};
use super::shell;
use crate::cli::outcome::Outcome;

/// How tasks are run.
pub(super) struct Limits {
    /// The number of tasks that run concurrently.
    pub jobs: usize,
    /// Whether the output of concurrent tasks begins with their names.
    pub prefix: bool,
    pub quiet: bool,
}

/// Runs the tasks of a plan, each after its dependencies. After a failure, the other tasks are terminated. `initial` is the
/// directory that the user started from.
pub(super) async fn run(plan: Plan, limits: Limits, initial: &Path) -> Outcome {
    let signal = KillSignal::default();
    tokio::task::LocalSet::new()
        .run_until(async {
            shell::forward_signals(&signal);
            run_all(&plan, &limits, initial, &signal).await
        })
        .await
}

async fn run_all(plan: &Plan, limits: &Limits, initial: &Path, signal: &KillSignal) -> Outcome {
    let prefixes = (limits.prefix && plan.is_concurrent()).then(|| prefixes(&plan.0));
    let mut waiting: Vec<usize> = (0..plan.0.len()).collect();
    let mut done = vec![false; plan.0.len()];
    let mut running = FuturesUnordered::new();
    let mut failed = None;
    loop {
        while failed.is_none()
            && running.len() < limits.jobs
            && let Some(next) =
                waiting.iter().position(|index| plan.0[*index].dependencies.iter().all(|needed| done[*needed]))
        {
            let index = waiting.remove(next);
            let prefix = prefixes.as_ref().map(|prefixes| prefixes[index].as_str());
            // `exit` aborts what else runs under the same signal.
            let own = signal.child_signal();
            running.push(async move { (index, run_task(&plan.0[index], prefix, limits.quiet, initial, &own).await) });
        }
        match running.next().await {
            Some((index, Ok(0))) => done[index] = true,
            Some((_, outcome)) => {
                if failed.is_none() {
                    signal.send(SignalKind::SIGTERM);
                    failed = Some(outcome);
                }
            }
            None => return failed.unwrap_or(Ok(0)),
        }
    }
}

async fn run_task(node: &Node, prefix: Option<&str>, quiet: bool, initial: &Path, signal: &KillSignal) -> Outcome {
    for (name, commands) in &node.steps {
        if !quiet {
            let package = node.package.iter().map(|package| format!(" ({package})")).collect::<String>();
            eprintln!("{} {}{package} {commands}", colors::green("Task"), colors::cyan(name));
        }
        let commands = shell::parse(name, commands)?;
        let variables = variables(&node.directory, initial);
        let code = match prefix {
            None => {
                let (stdout, stderr) = (ShellPipeWriter::stdout(), ShellPipeWriter::stderr());
                shell::run(commands, variables, &node.directory, signal, stdout, stderr).await
            }
            Some(prefix) => {
                let (stdout, out) = prefixed(prefix.into(), io::stdout());
                let (stderr, err) = prefixed(prefix.into(), io::stderr());
                let code = shell::run(commands, variables, &node.directory, signal, stdout, stderr).await;
                // A process that the task left in the background may keep the pipes open, but has no name any more.
                let _ = tokio::join!(out, err);
                code
            }
        };
        if code != 0 {
            // Only the low byte of an exit code is significant, as in a shell.
            return Ok(code as u8);
        }
    }
    Ok(0)
}

/// Returns the prefixes of tasks, aligned to the right.
fn prefixes(nodes: &[Node]) -> Vec<String> {
    let label = |node: &Node| match &node.package {
        Some(package) => format!("[{package}#{}]", node.name),
        None => format!("[{}]", node.name),
    };
    let labels: Vec<_> = nodes.iter().map(label).collect();
    let width = labels.iter().map(|label| label.chars().count()).max().unwrap_or_default();
    let prefix = |(index, label): (usize, &String)| {
        let padding = " ".repeat(width - label.chars().count());
        let label = if index % 2 == 0 { colors::cyan(label).to_string() } else { colors::magenta(label).to_string() };
        padding + label.as_str()
    };
    labels.iter().enumerate().map(prefix).collect()
}

/// Returns the environment of a task: that of this process, the initial directory, and the programs of npm packages.
fn variables(directory: &Path, initial: &Path) -> Vec<(OsString, OsString)> {
    let mut variables: Vec<_> = std::env::vars_os().filter(|(name, _)| name != "INIT_CWD" && name != "PATH").collect();
    let inherited = std::env::var_os("PATH").unwrap_or_default();
    let programs = directory.ancestors().map(|directory| directory.join("node_modules/.bin"));
    let programs = programs.filter(|directory| directory.is_dir());
    let path = std::env::join_paths(programs.chain(std::env::split_paths(&inherited))).unwrap_or(inherited);
    let initial = std::env::var_os("INIT_CWD").unwrap_or_else(|| initial.into());
    variables.extend([("PATH".into(), path), ("INIT_CWD".into(), initial)]);
    variables
}
