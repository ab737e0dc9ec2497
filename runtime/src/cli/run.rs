use clap::{Arg, ArgMatches, Command};

use super::Outcome;
use super::flags::{self, RuntimeFlags};
use super::launch;

/// `openkv run`: runs a script.
pub(crate) struct Run {
    /// The path or URL of the script.
    file: String,
    /// What follows it.
    args: Vec<String>,
    flags: RuntimeFlags,
}

pub(super) fn declare() -> Command {
    let script = Arg::new("script")
        // One argument, so that nothing behind FILE is taken for a flag of ours.
        .value_names(["FILE", "ARGS"])
        .num_args(1..)
        .required(true)
        .trailing_var_arg(true)
        .help("The script, a path or a file URL, and what it finds in Deno.args");
    flags::declare(Command::new("run"))
        .about("Runs a script")
        .override_usage("openkv [run] [FLAGS] FILE [ARGS]...")
        .arg(script)
}

pub(super) fn read(matches: &mut ArgMatches) -> Result<Run, clap::Error> {
    let flags = RuntimeFlags::read(matches)?;
    let mut script = matches.remove_many("script").expect("FILE is required");
    Ok(Run { file: script.next().expect("FILE is required"), args: script.collect(), flags })
}

impl Run {
    pub(super) fn execute(self) -> Outcome {
        launch::prepare(&self.flags)?;
        let main_module = launch::url(&self.file)?;
        launch::run(launch::options(&self.flags, main_module, self.args)?)
    }
}
