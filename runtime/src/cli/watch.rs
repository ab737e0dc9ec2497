//! `--watch`: runs a command again whenever its files change.

use std::collections::HashSet;
use std::env;
use std::ffi::OsString;
use std::io::IsTerminal;
use std::path::PathBuf;

use clap::{ArgMatches, Command};
use deno_config::glob::PathOrPatternSet;
use deno_core::url::Url;
use deno_terminal::colors;
use openkv::{Config, FileWatcher, Options, Runtime, Stop, report};

use super::arguments::{list, maybe_list, switch};
use super::env_file;
use super::flags::RuntimeFlags;
use super::launch;
use super::outcome::Outcome;

/// The exit code of a process that the user has interrupted, as in a shell.
const INTERRUPTED: u8 = 130;

/// The flags of commands that can watch files.
pub(crate) struct Watch {
    /// Further files and directories.
    paths: Vec<String>,
    excluded: Vec<String>,
    clear_screen: bool,
    /// The names of the variables that were set before the environment files were loaded.
    inherited: HashSet<OsString>,
}

/// How a run ended.
pub(super) enum Ended {
    /// By itself.
    Finished(Outcome),
    /// Because of the watcher, before its end.
    Stopped(Stop),
}

/// The current run, for which the messages are printed.
pub(super) struct Run<'a> {
    pub watcher: &'a mut FileWatcher,
    /// The files that have changed since the last run. None at first.
    pub changed: Option<&'a [PathBuf]>,
    clear_screen: bool,
}

/// Declares the flags.
pub(super) fn declare(command: Command) -> Command {
    command
        .next_help_heading("Watching")
        .arg(
            list("watch".into(), "PATH")
                .help("Run again when a local module, or a file or directory that is listed, changes"),
        )
        .arg(list("watch-exclude".into(), "PATH").help("Files, directories and glob patterns that are not watched"))
        .arg(switch("no-clear-screen").help("Keep the output of the last run on the terminal"))
        .next_help_heading(None::<&str>)
}

/// Reads the flags. Returns `None` without `--watch`.
pub(super) fn read(matches: &mut ArgMatches) -> Option<Watch> {
    let excluded = maybe_list(matches, "watch-exclude").unwrap_or_default();
    let clear_screen = !matches.get_flag("no-clear-screen") && std::io::stderr().is_terminal();
    let inherited = env::vars_os().map(|(name, _)| name).collect();
    maybe_list(matches, "watch").map(|paths| Watch { paths, excluded, clear_screen, inherited })
}

impl Watch {
    /// Runs `start` again and again, until the user interrupts the process. `name` is what is run, for the messages.
    pub(super) fn run(
        &self,
        name: &str,
        flags: &RuntimeFlags,
        mut start: impl AsyncFnMut(&mut Run) -> Result<Ended, String>,
    ) -> Outcome {
        let directory = launch::current_directory()?;
        let excluded = PathOrPatternSet::from_exclude_relative_path_or_patterns(&directory, &self.excluded)
            .map_err(|error| error.to_string())?;
        let mut watcher =
            FileWatcher::new(excluded).map_err(|error| format!("failed to watch files for changes: {error}"))?;
        let config = match &flags.modules.config {
            Config::Path(path) => Some(path),
            Config::Discovered | Config::None => None,
        };
        let named = self.paths.iter().chain(&flags.env_files).chain(config).chain(&flags.modules.import_map);
        let named: Vec<_> = named.map(|path| directory.join(path)).collect();
        let print = |message: String| {
            if !flags.quiet {
                eprintln!("{} {message}", colors::intense_blue("Watcher"));
            }
        };

        print(format!("{name} started."));
        let mut changed: Option<Vec<PathBuf>> = None;
        loop {
            named.iter().for_each(|path| watcher.add(path));
            let stop = launch::block_on(async {
                let mut run =
                    Run { watcher: &mut watcher, changed: changed.as_deref(), clear_screen: self.clear_screen };
                let outcome = match start(&mut run).await {
                    Ok(Ended::Stopped(stop)) => return stop,
                    Ok(Ended::Finished(outcome)) => outcome,
                    Err(message) => Err(message),
                };
                let ended = match outcome {
                    Ok(0) => "finished".into(),
                    Ok(code) => format!("finished with exit code {code}"),
                    Err(message) => {
                        eprintln!("{}: {}", colors::red_bold("error"), message.trim_end());
                        "failed".into()
                    }
                };
                print(format!("{name} {ended}. Restarting on file change..."));
                run.next().await
            })?;
            watcher.stopped();
            let Stop::Changed(paths) = stop else { return Ok(INTERRUPTED) };
            print(colors::gray(format!("Restarting! File change detected: {:?}", paths[0])).to_string());
            // The script may have changed both.
            env::set_current_dir(&directory).map_err(|error| format!("failed to change to {directory:?}: {error}"))?;
            for error in env_file::reload(&flags.env_files, &self.inherited) {
                if !flags.quiet {
                    eprintln!("{} {error}", colors::yellow("Warning"));
                }
            }
            changed = Some(paths);
        }
    }
}

impl Run<'_> {
    /// Runs a main module, and watches the files that it loads.
    pub(super) async fn main_module(&mut self, options: Options) -> Result<Ended, String> {
        let watched = Some(self.watcher.files());
        self.add_configuration(&options);
        self.add(&options.main_module);
        let mut runtime = Runtime::new(Options { watched, ..options }).map_err(|error| report(&error))?;
        tokio::select! {
            biased;
            stop = self.next() => {
                runtime.stop();
                Ok(Ended::Stopped(stop))
            }
            result = runtime.run() => {
                Ok(self.ended(result.map(|code| code as u8).map_err(|error| report(&error))))
            }
        }
    }

    /// Watches the configuration file in use.
    pub(super) fn add_configuration(&self, options: &Options) {
        options.project.url.iter().for_each(|url| self.add(url));
    }

    fn add(&self, url: &Url) {
        if let Ok(file) = url.to_file_path() {
            self.watcher.add(&file);
        }
    }

    /// Waits for a reason to stop the run, and clears the screen for the next one.
    pub(super) async fn next(&mut self) -> Stop {
        let stop = self.watcher.next().await;
        self.clear_screen();
        stop
    }

    /// Returns how a run ended that has returned: the watcher may have terminated it.
    pub(super) fn ended(&mut self, outcome: Outcome) -> Ended {
        match self.watcher.try_next() {
            Some(stop) => {
                self.clear_screen();
                Ended::Stopped(stop)
            }
            None => Ended::Finished(outcome),
        }
    }

    fn clear_screen(&self) {
        if self.clear_screen {
            eprint!("\x1b[H\x1b[2J\x1b[3J");
        }
    }
}
