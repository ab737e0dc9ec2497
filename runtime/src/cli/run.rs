use std::path::Path;

use clap::{Arg, ArgMatches, Command};
use openkv::Options;
use openkv_js::transpile::MediaType;

use super::flags::{self, RuntimeFlags};
use super::launch;
use super::outcome::Outcome;
use super::watch::{self, Watch};

/// `openkv run`: runs a script.
pub(crate) struct Run {
    /// The path or URL of the script.
    file: String,
    /// `Deno.args`.
    args: Vec<String>,
    media_type: Option<MediaType>,
    watch: Option<Watch>,
    flags: RuntimeFlags,
}

pub(super) fn declare() -> Command {
    let script = Arg::new("script")
        // A single argument, so that flags after FILE are those of the script.
        .value_names(["FILE", "ARGS"])
        .num_args(1..)
        .required(true)
        .trailing_var_arg(true)
        .help("The path or URL of the script, or - for stdin, and its arguments (Deno.args)");
    watch::declare(flags::declare(Command::new("run")))
        .about("Runs a script")
        .override_usage("openkv [run] [FLAGS] FILE [ARGS]...")
        .arg(flags::ext())
        .arg(script)
}

pub(super) fn read(matches: &mut ArgMatches) -> Result<Run, clap::Error> {
    let flags = RuntimeFlags::read(matches)?;
    let mut script = matches.remove_many("script").expect("FILE is required");
    Ok(Run {
        file: script.next().expect("FILE is required"),
        args: script.collect(),
        media_type: matches.remove_one("ext"),
        watch: watch::read(matches),
        flags,
    })
}

impl Run {
    pub(super) fn execute(self) -> Outcome {
        launch::prepare(&self.flags)?;
        match &self.watch {
            // As on Deno, the standard input is not watched.
            Some(watch) if self.file != "-" => {
                watch.run("Process", &self.flags, async |run| run.main_module(self.options()?).await)
            }
            _ => launch::run(self.options()?),
        }
    }

    fn options(&self) -> Result<Options, String> {
        let args = self.args.clone();
        if self.file == "-" {
            let media_type = self.media_type.unwrap_or(MediaType::Mts);
            let main_module = launch::url(&format!("./$deno$stdin{}", media_type.as_ts_extension()))?;
            let text = std::io::read_to_string(std::io::stdin())
                .map_err(|error| format!("failed to read the script from stdin: {error}"))?;
            return Ok(Options { main_text: Some(text), ..launch::options(&self.flags, main_module, args)? });
        }
        let main_module = launch::url(&self.file)?;
        // A script without an extension is TypeScript.
        let bare = MediaType::from_specifier(&main_module) == MediaType::Unknown
            && Path::new(main_module.path()).extension().is_none();
        let main_media_type = self.media_type.or(bare.then_some(MediaType::TypeScript));
        Ok(Options { main_media_type, ..launch::options(&self.flags, main_module, args)? })
    }
}
