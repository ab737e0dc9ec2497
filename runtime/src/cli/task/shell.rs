//! The shell of tasks, which is the same on all systems.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use deno_task_shell::parser::SequentialList;
use deno_task_shell::{
    ExecutableCommand, ExecuteResult, FutureExecuteResult, KillSignal, ShellCommand, ShellCommandContext,
    ShellPipeReader, ShellPipeWriter, ShellState, execute_with_pipes, parser,
};

use crate::cli::absent;

/// Parses the commands of a task.
pub(super) fn parse(name: &str, commands: &str) -> Result<SequentialList, String> {
    parser::parse(commands).map_err(|error| {
        let cause = error.to_string().replace('\n', "\n    ");
        format!("Error parsing script '{name}'.\n\nCaused by:\n    {cause}")
    })
}

/// Runs commands. Returns the exit code.
pub(super) async fn run(
    commands: SequentialList,
    variables: Vec<(OsString, OsString)>,
    directory: &Path,
    signal: &KillSignal,
    stdout: ShellPipeWriter,
    stderr: ShellPipeWriter,
) -> i32 {
    let custom = ["deno", "openkv"].map(|name| (name.to_owned(), Rc::new(Own(name)) as Rc<dyn ShellCommand>));
    let variables: HashMap<_, _> = variables.into_iter().collect();
    let state = ShellState::new(variables, directory.to_owned(), HashMap::from(custom), signal.clone());
    execute_with_pipes(commands, state, ShellPipeReader::stdin(), stdout, stderr).await
}

/// `openkv`, and `deno` for the commands that both have.
struct Own(&'static str);

impl Own {
    fn program(&self, context: &ShellCommandContext) -> Result<PathBuf, String> {
        let is_absent = |command: &OsString| command.to_str().is_some_and(absent::is_absent);
        if self.0 == "deno" && context.args.first().is_some_and(is_absent) {
            // OpenKV reports what it lacks, if Deno is not installed.
            if let Ok(deno) = context.state.resolve_command_path(OsStr::new("deno")) {
                return Ok(deno);
            }
        }
        std::env::current_exe().map_err(|error| format!("{}: failed to find this program: {error}", self.0))
    }
}

impl ShellCommand for Own {
    fn execute(&self, mut context: ShellCommandContext) -> FutureExecuteResult {
        match self.program(&context) {
            Ok(program) => ExecutableCommand::new(self.0.into(), program).execute(context),
            Err(message) => {
                // Without stderr, the exit code reports the failure.
                let _ = context.stderr.write_line(&message);
                Box::pin(std::future::ready(ExecuteResult::from_exit_code(1)))
            }
        }
    }
}

/// Forwards the signals that this process receives to the processes of tasks. An interrupt on a terminal reaches them anyway.
/// Signals for which there can be no handler keep their default action. Must be called in a `LocalSet`.
#[cfg(unix)]
pub(super) fn forward_signals(target: &KillSignal) {
    use std::io::IsTerminal;

    use deno_task_shell::SignalKind as Forwarded;
    use tokio::signal::unix::{SignalKind, signal};

    let kinds = [
        SignalKind::hangup(),
        SignalKind::interrupt(),
        SignalKind::quit(),
        SignalKind::terminate(),
        SignalKind::user_defined1(),
        SignalKind::user_defined2(),
    ];
    let on_terminal = std::io::stdin().is_terminal();
    for kind in kinds {
        let Ok(mut signals) = signal(kind) else { continue };
        let target = target.clone();
        tokio::task::spawn_local(async move {
            while signals.recv().await.is_some() {
                if kind != SignalKind::interrupt() || !on_terminal {
                    target.send(Forwarded::from(kind.as_raw_value()));
                }
            }
        });
    }
}

/// On other systems, the terminal interrupts the processes of tasks itself.
#[cfg(not(unix))]
pub(super) fn forward_signals(_target: &KillSignal) {}
