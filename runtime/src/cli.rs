use clap::{Arg, ArgAction, ArgMatches, Command};
use deno_core::url::Url;
use deno_permissions::PermissionsOptions;

/// What the command line asks for.
pub(crate) struct Run {
    /// The path or URL of the script.
    pub file: String,
    /// What follows it.
    pub args: Vec<String>,
    pub permissions: PermissionsOptions,
    pub location: Option<Url>,
}

/// The kinds of permission: name, letter, what a list of it holds, and what it lets a script do.
const PERMISSIONS: [(&str, Option<char>, &str, &str); 8] = [
    ("read", Some('R'), "PATH", "read files"),
    ("write", Some('W'), "PATH", "write files"),
    ("net", Some('N'), "HOST", "use the network"),
    ("env", Some('E'), "NAME", "see environment variables"),
    ("sys", Some('S'), "API", "see facts of the system"),
    ("run", None, "PROGRAM", "run programs"),
    ("ffi", None, "PATH", "load native libraries"),
    ("import", Some('I'), "HOST", "import modules from the network"),
];

const COMMANDS: [&str; 2] = ["run", "help"];

/// Reads the command line. Exits where it is wrong, or asks for help.
pub(crate) fn parse(args: impl IntoIterator<Item = String>) -> Run {
    let mut args: Vec<String> = args.into_iter().collect();
    // `openkv FILE` is `openkv run FILE`.
    let asks_for_more_than_a_run =
        |arg: &String| COMMANDS.contains(&arg.as_str()) || ["-h", "--help", "-V", "--version"].contains(&arg.as_str());
    if args.len() > 1 && !asks_for_more_than_a_run(&args[1]) {
        args.insert(1, "run".into());
    }
    let mut matches = command().get_matches_from(args);
    match matches.remove_subcommand() {
        Some((_, run)) => run_of(run),
        None => unreachable!("a command is required, and run is the only one"),
    }
}

fn command() -> Command {
    let mut run = Command::new("run")
        .about("Runs a script")
        .override_usage("openkv [run] [FLAGS] FILE [ARGS]...")
        .arg(
            // One argument, so that nothing behind FILE is taken for a flag of ours.
            Arg::new("script")
                .value_names(["FILE", "ARGS"])
                .num_args(1..)
                .required(true)
                .trailing_var_arg(true)
                .help("The script, a path or a file URL, and what it finds in Deno.args"),
        )
        .arg(flag("allow-all").short('A').help("Allow everything"))
        .arg(flag("no-prompt").help("Refuse what is not allowed, without asking on the terminal"))
        .arg(
            Arg::new("location")
                .long("location")
                .value_name("URL")
                .value_parser(clap::value_parser!(Url))
                .help("The location of the script, whose origin decides which database Deno.openKv() opens"),
        )
        .arg(flag("quiet").short('q').help("Accepted for compatibility: there are no messages to leave out"));
    for (name, letter, value, what) in PERMISSIONS {
        let mut allow =
            list(format!("allow-{name}"), value).help(format!("Let the script {what}: all, or those listed"));
        allow = if let Some(letter) = letter { allow.short(letter) } else { allow }.conflicts_with("allow-all");
        let deny =
            list(format!("deny-{name}"), value).help(format!("Do not let the script {what}: any, or those listed"));
        run = run.arg(allow).arg(deny);
    }
    for name in ["unstable", "unstable-kv"].into_iter().chain(UNSTABLE) {
        run = run.arg(flag(name).hide(true));
    }
    Command::new("openkv")
        .version(env!("CARGO_PKG_VERSION"))
        .about("Runs TypeScript with Deno KV in it")
        .override_usage("openkv [run] [FLAGS] FILE [ARGS]...")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(run)
}

/// Flags of the reference that enable what is unstable there. They change nothing here.
const UNSTABLE: [&str; 14] = [
    "unstable-bare-node-builtins",
    "unstable-broadcast-channel",
    "unstable-byonm",
    "unstable-cron",
    "unstable-detect-cjs",
    "unstable-ffi",
    "unstable-fs",
    "unstable-http",
    "unstable-net",
    "unstable-raw-imports",
    "unstable-sloppy-imports",
    "unstable-temporal",
    "unstable-unsafe-proto",
    "unstable-worker-options",
];

fn flag(name: &'static str) -> Arg {
    Arg::new(name).long(name).action(ArgAction::SetTrue)
}

fn list(name: String, value: &'static str) -> Arg {
    Arg::new(name.clone())
        .long(name)
        .value_name(value)
        .num_args(0..)
        .require_equals(true)
        .value_delimiter(',')
        .action(ArgAction::Append)
}

fn run_of(mut matches: ArgMatches) -> Run {
    let permissions = permissions_of(&mut matches);
    let mut script = matches.remove_many("script").expect("FILE is required");
    Run {
        permissions,
        file: script.next().expect("FILE is required"),
        args: script.collect(),
        location: matches.remove_one("location"),
    }
}

fn permissions_of(matches: &mut ArgMatches) -> PermissionsOptions {
    let all = matches.get_flag("allow-all");
    // A flag without a list stands for all: an empty list.
    let mut get = |name: &str| {
        let named = matches.contains_id(name) || (all && name.starts_with("allow-"));
        named.then(|| matches.remove_many::<String>(name).into_iter().flatten().collect::<Vec<_>>())
    };
    let options = PermissionsOptions {
        allow_read: get("allow-read"),
        deny_read: get("deny-read"),
        allow_write: get("allow-write"),
        deny_write: get("deny-write"),
        allow_net: get("allow-net"),
        deny_net: get("deny-net"),
        allow_env: get("allow-env"),
        deny_env: get("deny-env"),
        allow_sys: get("allow-sys"),
        deny_sys: get("deny-sys"),
        allow_run: get("allow-run"),
        deny_run: get("deny-run"),
        allow_ffi: get("allow-ffi"),
        deny_ffi: get("deny-ffi"),
        allow_import: get("allow-import"),
        deny_import: get("deny-import"),
        ..PermissionsOptions::default()
    };
    PermissionsOptions { prompt: !matches.get_flag("no-prompt"), ..options }
}
