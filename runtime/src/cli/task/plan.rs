use std::collections::HashMap;
use std::path::{Path, PathBuf};

use deno_config::workspace::{TaskOrScript, WorkspaceMemberTasksConfig, WorkspaceTasksConfig};
use deno_core::url::Url;
use glob::Pattern;

/// The name of a member of a workspace, if it is shown, and its tasks.
pub(super) type Member = (Option<String>, WorkspaceTasksConfig);

/// The tasks to run.
pub(super) struct Plan(pub Vec<Node>);

/// A task.
pub(super) struct Node {
    /// The name of the member of the workspace, if it is shown.
    pub package: Option<String>,
    pub name: String,
    pub directory: PathBuf,
    /// The commands, each with the name that is shown: those of a script include its `pre` and `post` scripts.
    pub steps: Vec<(String, String)>,
    /// The indexes of the tasks that must succeed first.
    pub dependencies: Vec<usize>,
}

/// The reason why a task cannot run.
#[derive(Debug, PartialEq)]
pub(super) enum Failure {
    /// There is no task with this name.
    NotFound(String),
    /// Tasks depend on each other.
    Cycle(Vec<String>),
}

/// A plan in the making.
#[derive(Default)]
struct Builder {
    nodes: Vec<Node>,
    /// The indexes of nodes, by directory and name.
    indexes: HashMap<(Url, String), usize>,
    /// The names of the tasks whose dependencies are being added.
    open: Vec<(Url, String)>,
}

impl Plan {
    /// Plans to run the tasks of these members whose names match a name or a pattern. Only they receive the arguments.
    pub fn new(members: &[Member], name: &str, args: &[String]) -> Result<Self, Failure> {
        let mut builder = Builder::default();
        for (package, tasks) in members {
            // Of several members, each runs its own tasks only.
            let own = if members.len() > 1 || package.is_some() { own_tasks(tasks) } else { None };
            let names: Vec<&str> = match own {
                Some(own) => own.task_names().filter(|known| matches(name, known)).collect(),
                None => tasks.task_names().filter(|known| matches(name, known)).collect(),
            };
            for name in names {
                builder.add(package.as_deref(), tasks, name, args)?;
            }
        }
        if builder.nodes.is_empty() { Err(Failure::NotFound(name.into())) } else { Ok(Self(builder.nodes)) }
    }

    /// Plans to run commands.
    pub fn of_commands(commands: &str, directory: &Path, args: &[String]) -> Result<Self, Failure> {
        let steps = vec![(String::new(), with_args(commands, args))];
        let directory = directory.to_owned();
        Ok(Self(vec![Node { package: None, name: String::new(), directory, steps, dependencies: Vec::new() }]))
    }

    /// Returns the plan with all tasks run in a directory, if one is given.
    pub fn with_directory(mut self, directory: Option<PathBuf>) -> Self {
        if let Some(directory) = directory {
            self.0.iter_mut().for_each(|node| node.directory.clone_from(&directory));
        }
        self
    }

    /// Returns whether some tasks may run concurrently.
    pub fn is_concurrent(&self) -> bool {
        let mut done = vec![false; self.0.len()];
        while done.contains(&false) {
            let is_ready = |index: usize| !done[index] && self.0[index].dependencies.iter().all(|needed| done[*needed]);
            let ready: Vec<_> = (0..done.len()).filter(|index| is_ready(*index)).collect();
            if ready.len() != 1 {
                return true;
            }
            done[ready[0]] = true;
        }
        false
    }
}

impl Builder {
    fn add(
        &mut self,
        package: Option<&str>,
        tasks: &WorkspaceTasksConfig,
        name: &str,
        args: &[String],
    ) -> Result<usize, Failure> {
        let task = tasks.task(name).ok_or_else(|| Failure::NotFound(name.into()))?;
        let key = (task.folder_url().clone(), name.to_owned());
        if let Some(start) = self.open.iter().position(|open| *open == key) {
            let names = self.open[start..].iter().chain([&key]).map(|(_, name)| name.clone());
            return Err(Failure::Cycle(names.collect()));
        }
        if let Some(index) = self.indexes.get(&key) {
            return Ok(*index);
        }
        // The URL of a directory ends with a slash, which `$PWD` has not.
        let directory = key.0.to_file_path().unwrap_or_default().components().collect();
        let mut dependencies = Vec::new();
        let steps = match task {
            TaskOrScript::Task { task, .. } => {
                self.open.push(key.clone());
                for needed in &task.dependencies {
                    dependencies.push(self.add(package, tasks, needed, &[])?);
                }
                self.open.pop();
                task.command.iter().map(|command| (name.to_owned(), with_args(command, args))).collect()
            }
            TaskOrScript::Script { details, .. } => [format!("pre{name}"), name.to_owned(), format!("post{name}")]
                .into_iter()
                .filter_map(|name| Some((name.clone(), with_args(details.tasks.get(&name)?, args))))
                .collect(),
        };
        let package = package.map(Into::into);
        self.nodes.push(Node { package, name: name.into(), directory, steps, dependencies });
        self.indexes.insert(key, self.nodes.len() - 1);
        Ok(self.nodes.len() - 1)
    }
}

/// Returns the tasks of the member itself: in the root of a workspace, those of the root.
fn own_tasks(tasks: &WorkspaceTasksConfig) -> Option<&WorkspaceMemberTasksConfig> {
    [&tasks.member, &tasks.root].into_iter().find(|own| own.deno_json.is_some() || own.package_json.is_some())
}

/// Returns whether a name matches a pattern, in which `*` stands for any text.
pub(super) fn matches(pattern: &str, name: &str) -> bool {
    let escaped: Vec<_> = pattern.split('*').map(Pattern::escape).collect();
    pattern == name || Pattern::new(&escaped.join("*")).is_ok_and(|pattern| pattern.matches(name))
}

/// Appends arguments to commands, quoted for the shell.
fn with_args(commands: &str, args: &[String]) -> String {
    let quoted = args.iter().map(|arg| format!(" '{}'", arg.replace('\'', r#"'"'"'"#)));
    format!("{}{}", commands.trim(), quoted.collect::<String>())
}
