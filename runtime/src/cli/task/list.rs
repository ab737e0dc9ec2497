use std::fmt::Write;

use deno_config::workspace::{TaskOrScript, WorkspaceDirectory, WorkspaceTasksConfig};
use deno_terminal::colors;

/// Returns the list of all tasks, with Deno's text.
pub(super) fn available(directory: &WorkspaceDirectory, tasks: &WorkspaceTasksConfig) -> String {
    let mut text = format!("{}\n", colors::green("Available tasks:"));
    for name in tasks.task_names() {
        let Some(task) = tasks.task(name) else { continue };
        let origin = match &task {
            TaskOrScript::Script { .. } => Some("(package.json)"),
            TaskOrScript::Task { .. } if *task.folder_url() != **directory.dir_url() => Some("(workspace)"),
            TaskOrScript::Task { .. } => None,
        };
        let origin = origin.map(|origin| format!(" {}", colors::italic_gray(origin))).unwrap_or_default();
        let _ = writeln!(text, "- {}{origin}", colors::cyan(escape(name)));
        let (description, command, dependencies) = match &task {
            TaskOrScript::Task { task, .. } => {
                (task.description.as_deref(), task.command.as_deref(), task.dependencies.as_slice())
            }
            TaskOrScript::Script { task, .. } => (None, Some(*task), &[][..]),
        };
        for line in description.unwrap_or_default().lines() {
            let _ = writeln!(text, "    {} {}", colors::italic_gray("//"), colors::italic_gray(escape(line)));
        }
        for line in command.unwrap_or_default().lines() {
            let _ = writeln!(text, "    {}", escape(line));
        }
        if !dependencies.is_empty() {
            let dependencies = escape(&dependencies.join(", "));
            let _ = writeln!(text, "    {} {}", colors::gray("depends on:"), colors::cyan(dependencies));
        }
    }
    if tasks.is_empty() {
        let _ = writeln!(text, "  {}", colors::red("No tasks found in configuration file"));
    }
    text
}

/// Removes control characters, with which a task could hide its commands on a terminal.
fn escape(text: &str) -> String {
    text.chars().filter(|c| !c.is_control() || *c == '\t').collect()
}
