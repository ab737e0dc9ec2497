use std::path::Path;

use clap::{Arg, ArgMatches, Command};
use indicatif::HumanCount;
use openkv_engine::copy::{Copied, CopyError, Options, copy};
use openkv_engine::maintenance::OnProgress;

use super::{common, locations};
use crate::cli::arguments;
use crate::cli::outcome::{self, Outcome};

/// `openkv db copy`: copies a database to another backend.
pub(crate) struct Copy {
    from: String,
    to: String,
    overwrite: bool,
}

pub(super) fn declare() -> Command {
    let location = |name: &'static str| Arg::new(name).value_name(name.to_uppercase()).required(true);
    Command::new("copy")
        .about("Copies a database to another file, or to or from etcd or PostgreSQL")
        .after_help(
            "Entries keep their expiry, and messages their schedule. Their versionstamps are new, and greater than all of FROM. \
             Stop the programs that write FROM. After an interruption, the same command continues the copy.",
        )
        .arg(location("from").help("The database to copy: a file, or a URL as of etcd or PostgreSQL"))
        .arg(location("to").help("The database to copy to, created if it does not exist"))
        .arg(arguments::switch("overwrite").help("Copy into a database that is not empty, and keep its other entries"))
}

pub(super) fn read(matches: &mut ArgMatches) -> Copy {
    let mut location = |name| matches.remove_one::<String>(name).expect("both databases are required");
    Copy { from: location("from"), to: location("to"), overwrite: matches.get_flag("overwrite") }
}

impl Copy {
    pub(super) fn execute(self) -> Outcome {
        let Self { from, to, .. } = &self;
        if [from, to].into_iter().any(|location| location == ":memory:") {
            return Err("a database in memory ends with this command: name a file or a URL".to_owned());
        }
        // Opening it would create it.
        if locations::is_path(from) && !Path::new(from).exists() {
            return Err(format!("{from}: the file does not exist"));
        }
        if locations::name(from) == locations::name(to) {
            return Err(format!("{from} and {to} are the same database"));
        }
        let runtime =
            tokio::runtime::Runtime::new().map_err(|error| format!("failed to create the event loop: {error}"))?;
        let Copied { entries, messages, .. } = common::with_bar(|progress| runtime.block_on(self.copy(progress)))?;
        outcome::print(&format!("{to}: {} entries, {} messages\n", HumanCount(entries), HumanCount(messages)))
    }

    async fn copy(&self, progress: &mut OnProgress<'_>) -> Result<Copied, String> {
        let from = locations::open(&self.from).await?;
        let to = locations::open(&self.to).await?;
        let source = locations::name(&self.from);
        let copied = copy(&from, &to, Options { source: &source, overwrite: self.overwrite }, progress).await;
        from.close();
        to.close();
        copied.map_err(|error| {
            let how = match error {
                CopyError::NotEmpty | CopyError::OtherCopy { .. } => " with --overwrite",
                _ => "",
            };
            format!("failed to copy {source} to {}: {error}{how}", locations::name(&self.to))
        })
    }
}
