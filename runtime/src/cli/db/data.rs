//! The commands that read and write entries: they run a program in TypeScript, with `Deno.openKv`.

use clap::builder::PossibleValuesParser;
use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use deno_core::serde_json::{Value, json};

use super::common;
use crate::cli::arguments::switch;
use crate::cli::outcome::Outcome;
use crate::cli::program::{self, Program};
use crate::cli::{launch, studio};

/// `openkv db get`, `set`, `delete`, `list`, `watch`, `export` or `import`.
pub(crate) struct Data {
    database: String,
    /// Whether the command may create the database.
    creates: bool,
    settings: Value,
}

const PROGRAM: Program = Program {
    main: "data/main.ts",
    modules: &[
        ("data/entries.ts", include_str!("../../../data/entries.ts")),
        ("data/export.ts", include_str!("../../../data/export.ts")),
        ("data/import.ts", include_str!("../../../data/import.ts")),
        ("data/main.ts", include_str!("../../../data/main.ts")),
        ("data/output.ts", include_str!("../../../data/output.ts")),
        ("data/settings.ts", include_str!("../../../data/settings.ts")),
        ("studio/classes.ts", include_str!("../../../studio/classes.ts")),
        ("studio/data.ts", include_str!("../../../studio/data.ts")),
        ("studio/expiry.ts", include_str!("../../../studio/expiry.ts")),
        ("studio/format.ts", include_str!("../../../studio/format.ts")),
        ("studio/lines.ts", include_str!("../../../studio/lines.ts")),
        ("studio/parse.ts", include_str!("../../../studio/parse.ts")),
        ("studio/print.ts", include_str!("../../../studio/print.ts")),
        ("studio/successor.ts", include_str!("../../../studio/successor.ts")),
    ],
};

const KEYS: &str = "Keys and values are JavaScript expressions: openkv db get kv.db '[\"users\", 1n]'.";
const LINES: &str = "Lines are those of @deno/kv-utils: {\"key\": [...], \"value\": ..., \"versionstamp\": \"...\"}.";

pub(super) fn declare() -> [Command; 7] {
    let command = |name: &'static str, about: &'static str| {
        Command::new(name).about(about).arg(
            Arg::new("database")
                .value_name("DATABASE")
                .required(true)
                .help("A file, or a URL of a server, of etcd or of PostgreSQL"),
        )
    };
    let key = || Arg::new("keys").value_name("KEY").required(true).allow_hyphen_values(true).help("The key");
    let keys = || key().action(ArgAction::Append).num_args(1..);
    let json = || switch("json").help("Print lines of JSON, as export does");
    [
        command("get", "Prints the value of a key").arg(key()).arg(json()).after_help(KEYS),
        command("set", "Sets the value of a key, and prints its versionstamp")
            .arg(key())
            .arg(Arg::new("value").value_name("VALUE").required(true).allow_hyphen_values(true).help("The value"))
            .arg(
                Arg::new("expire-in")
                    .long("expire-in")
                    .value_name("MILLISECONDS")
                    .value_parser(value_parser!(u64))
                    .help("When the entry expires"),
            )
            .after_help(KEYS),
        command("delete", "Deletes entries").arg(keys()).after_help(KEYS),
        command("list", "Prints the entries of a range")
            .args(range())
            .arg(
                Arg::new("limit")
                    .long("limit")
                    .value_name("NUMBER")
                    .value_parser(value_parser!(u32).range(1..))
                    .help("The maximum number of entries"),
            )
            .arg(switch("reverse").help("Print the last entries first"))
            .arg(switch("keys").help("Print the keys alone"))
            .arg(json())
            .after_help(KEYS),
        command("watch", "Prints the values of keys, and their changes").arg(keys()).arg(json()).after_help(KEYS),
        command("export", "Writes the entries of a range as lines of JSON")
            .arg(
                Arg::new("file")
                    .value_name("FILE")
                    .help("The file to create, complete or not at all [default: stdout]"),
            )
            .args(range())
            .arg(common::force())
            .after_help(LINES),
        command("import", "Stores the entries of lines of JSON")
            .arg(Arg::new("file").value_name("FILE").help("The file to read [default: stdin]"))
            .arg(
                Arg::new("on-conflict")
                    .long("on-conflict")
                    .value_name("ACTION")
                    .value_parser(PossibleValuesParser::new(["fail", "keep", "replace"]))
                    .default_value("fail")
                    .help("What to do with entries that exist"),
            )
            .arg(expression("prefix", "Put this key before each key"))
            .after_help(format!("{LINES} After an interruption, the same command continues the import of a file.")),
    ]
}

fn expression(name: &'static str, help: &'static str) -> Arg {
    Arg::new(name).long(name).value_name("KEY").allow_hyphen_values(true).help(help)
}

fn range() -> [Arg; 3] {
    [
        expression("prefix", "Only the entries whose keys continue this one"),
        expression("start", "The first key"),
        expression("end", "The key before which the range ends"),
    ]
}

pub(super) fn read(name: &str, matches: &mut ArgMatches) -> Data {
    let database = matches.remove_one::<String>("database").expect("a database is required");
    let text = |name: &str| matches.try_get_one::<String>(name).ok().flatten();
    let flag = |name: &str| matches.try_get_one::<bool>(name).ok().flatten() == Some(&true);
    let keys: Vec<_> = matches.try_get_many::<String>("keys").ok().flatten().unwrap_or_default().collect();
    let settings = json!({
        "command": name,
        "database": database,
        "keys": keys,
        "value": text("value").map_or("", String::as_str),
        "expireIn": matches.try_get_one::<u64>("expire-in").ok().flatten(),
        "range": { "prefix": text("prefix"), "start": text("start"), "end": text("end") },
        "limit": matches.try_get_one::<u32>("limit").ok().flatten(),
        "reverse": flag("reverse"),
        "keysOnly": flag("keys"),
        "json": flag("json"),
        "file": text("file"),
        "force": flag("force"),
        "onConflict": text("on-conflict").map_or("fail", String::as_str),
    });
    Data { creates: matches!(name, "set" | "import"), database, settings }
}

impl Data {
    pub(super) fn execute(self) -> Outcome {
        if !self.creates {
            studio::existing(&self.database)?;
        }
        let flags = program::flags();
        launch::prepare(&flags)?;
        launch::run(PROGRAM.options(&flags, &self.settings)?)
    }
}
