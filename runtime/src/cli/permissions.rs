use clap::{ArgMatches, Command};
use deno_permissions::PermissionsOptions;

use super::arguments::{list, switch};

/// A kind of permission.
struct Kind {
    name: &'static str,
    letter: Option<char>,
    /// What a list of it holds.
    value: &'static str,
    /// What it lets a script do.
    what: &'static str,
    /// Whether the absence of it can be hidden from the script, and how.
    ignore: Option<&'static str>,
}

const KINDS: [Kind; 8] = [
    Kind {
        name: "read",
        letter: Some('R'),
        value: "PATH",
        what: "read files",
        ignore: Some("Tell the script that files which it may not read do not exist: all, or those listed"),
    },
    Kind { name: "write", letter: Some('W'), value: "PATH", what: "write files", ignore: None },
    Kind { name: "net", letter: Some('N'), value: "HOST", what: "use the network", ignore: None },
    Kind {
        name: "env",
        letter: Some('E'),
        value: "NAME",
        what: "see environment variables",
        ignore: Some("Tell the script that variables which it may not see are not set: all, or those listed"),
    },
    Kind { name: "sys", letter: Some('S'), value: "API", what: "see facts of the system", ignore: None },
    Kind { name: "run", letter: None, value: "PROGRAM", what: "run programs", ignore: None },
    Kind { name: "ffi", letter: None, value: "PATH", what: "load native libraries", ignore: None },
    Kind { name: "import", letter: Some('I'), value: "HOST", what: "import modules from the network", ignore: None },
];

/// Declares the flags that say what a script may do.
pub(super) fn declare(mut command: Command) -> Command {
    command =
        command.next_help_heading("Permissions").arg(switch("allow-all").short('A').help("Allow everything")).arg(
            switch("no-prompt")
                .help("Refuse what is not allowed, without asking on the terminal [env: DENO_NO_PROMPT]"),
        );
    for kind in KINDS {
        let Kind { name, value, what, .. } = kind;
        let allow = list(format!("allow-{name}"), value)
            .short(kind.letter)
            .conflicts_with("allow-all")
            .help(format!("Let the script {what}: all, or those listed"));
        let deny =
            list(format!("deny-{name}"), value).help(format!("Do not let the script {what}: any, or those listed"));
        let ignore = kind.ignore.map(|help| list(format!("ignore-{name}"), value).help(help));
        command = command.arg(allow).arg(deny).args(ignore);
    }
    command
}

/// What the flags allow.
pub(super) fn read(matches: &mut ArgMatches) -> PermissionsOptions {
    let all = matches.get_flag("allow-all");
    // A flag without a list stands for all: an empty list.
    let mut get = |name: &str| {
        let named = matches.contains_id(name) || (all && name.starts_with("allow-"));
        named.then(|| matches.remove_many::<String>(name).into_iter().flatten().collect::<Vec<_>>())
    };
    PermissionsOptions {
        allow_read: get("allow-read"),
        deny_read: get("deny-read"),
        ignore_read: get("ignore-read"),
        allow_write: get("allow-write"),
        deny_write: get("deny-write"),
        allow_net: get("allow-net"),
        deny_net: get("deny-net"),
        allow_env: get("allow-env"),
        deny_env: get("deny-env"),
        ignore_env: get("ignore-env"),
        allow_sys: get("allow-sys"),
        deny_sys: get("deny-sys"),
        allow_run: get("allow-run"),
        deny_run: get("deny-run"),
        allow_ffi: get("allow-ffi"),
        deny_ffi: get("deny-ffi"),
        allow_import: get("allow-import"),
        deny_import: get("deny-import"),
        prompt: !matches.get_flag("no-prompt") && std::env::var_os("DENO_NO_PROMPT").is_none(),
    }
}
