use clap::{Arg, ArgMatches, Command};
use deno_permissions::PermissionsOptions;

use super::arguments::{list, maybe_list, switch};

/// A kind of permission.
struct Kind {
    name: &'static str,
    letter: Option<char>,
    /// The name of a value in its list.
    value: &'static str,
    /// The action that it allows.
    action: &'static str,
    /// The help of its `--ignore` flag, which hides a denial from the script, if there is one.
    ignore: Option<&'static str>,
}

const KINDS: [Kind; 8] = [
    Kind {
        name: "read",
        letter: Some('R'),
        value: "PATH",
        action: "read files",
        ignore: Some("Report files as not found instead of denying access (all, or those listed)"),
    },
    Kind { name: "write", letter: Some('W'), value: "PATH", action: "write files", ignore: None },
    Kind { name: "net", letter: Some('N'), value: "HOST", action: "use the network", ignore: None },
    Kind {
        name: "env",
        letter: Some('E'),
        value: "NAME",
        action: "access environment variables",
        ignore: Some("Report variables as not set instead of denying access (all, or those listed)"),
    },
    Kind { name: "sys", letter: Some('S'), value: "API", action: "read system information", ignore: None },
    Kind { name: "run", letter: None, value: "PROGRAM", action: "run programs", ignore: None },
    Kind { name: "ffi", letter: None, value: "PATH", action: "load native libraries", ignore: None },
    Kind { name: "import", letter: Some('I'), value: "HOST", action: "import remote modules", ignore: None },
];

/// Declares the flags for permissions.
pub(super) fn declare(mut command: Command) -> Command {
    command = command
        .next_help_heading("Permissions")
        .arg(switch("allow-all").short('A').help("Allow everything"))
        .arg(
            Arg::new("permission-set")
                .long("permission-set")
                .short('P')
                .value_name("NAME")
                .num_args(0..=1)
                .require_equals(true)
                .default_missing_value("")
                .help("Grant the permissions of a set in the configuration file, \"default\" by default"),
        )
        .arg(switch("no-prompt").help("Deny other permissions without a prompt on the terminal [env: DENO_NO_PROMPT]"));
    for kind in KINDS {
        let Kind { name, value, action, .. } = kind;
        let allow = list(format!("allow-{name}"), value)
            .short(kind.letter)
            .conflicts_with("allow-all")
            .help(format!("Allow the script to {action} (all, or those listed)"));
        let deny = list(format!("deny-{name}"), value)
            .help(format!("Do not allow the script to {action} (any, or those listed)"));
        let ignore = kind.ignore.map(|help| list(format!("ignore-{name}"), value).help(help));
        command = command.arg(allow).arg(deny).args(ignore);
    }
    command
}

/// Returns the flags for importing remote modules.
pub(super) fn import_flags() -> [Arg; 2] {
    [
        list("allow-import".into(), "HOST")
            .short('I')
            .help("Allow the import of remote modules (all, or of those hosts)"),
        list("deny-import".into(), "HOST").help("Do not allow the import of remote modules (any, or of those hosts)"),
    ]
}

/// Reads the flags for importing remote modules.
pub(super) fn read_import(matches: &mut ArgMatches) -> PermissionsOptions {
    PermissionsOptions {
        allow_import: maybe_list(matches, "allow-import"),
        deny_import: maybe_list(matches, "deny-import"),
        ..PermissionsOptions::default()
    }
}

/// Reads the flags for permissions.
pub(super) fn read(matches: &mut ArgMatches) -> PermissionsOptions {
    let all = matches.get_flag("allow-all");
    // A flag without a list means all, which is an empty list.
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
