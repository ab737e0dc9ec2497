use std::path::Path;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::error::ErrorKind;
use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use deno_core::url::Url;
use deno_permissions::PermissionsOptions;
use openkv::unstable::{FEATURES, Support};
use openkv::{Certificates, Config, Inspect, Lock, ModuleOptions};
use openkv_js::transpile::MediaType;

use super::arguments::{list, maybe_list, one, optional, switch};
use super::{inspect, npm, permissions};

/// The flags of every command that runs scripts. The default is that of a command line without flags.
#[derive(Default)]
pub(crate) struct RuntimeFlags {
    /// The permissions of the command line.
    pub permissions: PermissionsOptions,
    /// Whether everything is allowed.
    pub allow_all: bool,
    /// The name of a set of permissions in the configuration file. Without one, it is empty.
    pub permission_set: Option<String>,
    /// Whether the permissions for tests in the configuration file apply.
    pub is_test: bool,
    /// How debuggers attach, if they can.
    pub inspect: Option<Inspect>,
    /// `location`, an http or https URL without credentials.
    pub location: Option<Url>,
    /// Files with environment variables, in the order of the command line.
    pub env_files: Vec<String>,
    /// The seed for reproducible random numbers.
    pub seed: Option<u64>,
    /// Flags for V8.
    pub v8_flags: Vec<String>,
    pub quiet: bool,
    /// The unstable features that are enabled, by the names that Deno has for them.
    pub unstable: Vec<&'static str>,
    pub modules: ModuleOptions,
    pub certificates: Certificates,
}

/// Flags of Deno that have no effect, because OpenKV lacks what they configure: type checking, and a choice of proxies.
const ACCEPTED: [&str; 2] = ["no-check", "use-env-proxy"];

/// Flags of Deno that would change the behaviour or the output, but are not supported.
const UNSUPPORTED: [(&str, Option<char>, &str); 5] = [
    ("check", None, "types are not checked: run `deno check`"),
    ("coverage", None, "coverage is not collected"),
    ("hmr", None, "modules are not replaced while a script runs: restart it with --watch"),
    ("preload", None, "import the file in the script"),
    ("require", None, "CommonJS modules are not loaded"),
];

/// Declares the flags of a command that runs scripts.
pub(super) fn declare(command: Command) -> Command {
    let command = permissions::declare(command)
        .next_help_heading("Runtime")
        .arg(
            one("location", "URL")
                .value_parser(location)
                .help("The location of the script, whose origin determines the default database of Deno.openKv()"),
        )
        .arg(
            one("seed", "NUMBER")
                .value_parser(value_parser!(u64))
                .help("Seed the random number generator, for reproducible numbers"),
        )
        .arg(list("v8-flags".into(), "FLAG").help("Flags for V8; --v8-flags=--help lists them [env: DENO_V8_FLAGS]"))
        .arg(switch("no-code-cache").help("Neither use compiled code of an earlier run, nor keep it for the next one"))
        .args(inspect::flags());
    unsupported(declare_modules(command), &UNSUPPORTED)
        .arg(switch("unstable").hide(true))
        .args(FEATURES.map(|(name, _)| {
            let flag = unstable_flag(name);
            // As on Deno, this one has a short name, too.
            let alias = (name == "sloppy-imports").then_some(name);
            Arg::new(flag.clone()).long(flag).aliases(alias).action(ArgAction::SetTrue).hide(true)
        }))
        .args(ACCEPTED.map(optional))
}

/// Declares the flags of a command that loads modules without running them.
pub(super) fn declare_for_modules(command: Command) -> Command {
    let command = command.next_help_heading("Permissions").args(permissions::import_flags());
    declare_modules(command).arg(optional("no-check"))
}

/// Declares the flags of every command that loads modules.
fn declare_modules(command: Command) -> Command {
    command
        .next_help_heading("Runtime")
        .arg(
            Arg::new("env-file")
                .long("env-file")
                .alias("env")
                .value_name("FILE")
                .num_args(0..=1)
                .require_equals(true)
                .default_missing_value(".env")
                .action(ArgAction::Append)
                .help("Set environment variables that are not set yet from a file, .env by default"),
        )
        .arg(
            one("cert", "FILE")
                .help("Trust the certificate authorities in a PEM file [env: DENO_CERT, NODE_EXTRA_CA_CERTS]"),
        )
        .arg(
            list("unsafely-ignore-certificate-errors".into(), "HOST")
                .help("Accept invalid certificates (of all hosts, or of those listed)"),
        )
        .arg(switch("quiet").short('q').help("Print errors only"))
        .next_help_heading("Modules")
        .arg(one("import-map", "FILE").help("The path or URL of an import map"))
        .arg(
            one("config", "FILE")
                .short('c')
                .help("The configuration file, instead of a deno.json or deno.jsonc near the script"),
        )
        .arg(switch("no-config").conflicts_with("config").help("Ignore configuration files"))
        .arg(list("reload".into(), "URL").short('r').help("Fetch remote modules again (all, or those listed)"))
        .arg(switch("cached-only").help("Load remote modules from the cache only"))
        .arg(switch("no-remote").help("Do not load remote modules"))
        .args(npm::flags())
        .arg(
            one("lock", "FILE")
                .num_args(0..=1)
                .default_missing_value("deno.lock")
                .help("The lock file, instead of the deno.lock next to the configuration file"),
        )
        .arg(switch("no-lock").conflicts_with("lock").help("Ignore lock files"))
        .arg(
            Arg::new("frozen")
                .long("frozen")
                .alias("frozen-lockfile")
                .value_name("BOOLEAN")
                .num_args(0..=1)
                .require_equals(true)
                .default_missing_value("true")
                .value_parser(value_parser!(bool))
                .help("Fail if the lock file would change"),
        )
        .next_help_heading(None::<&str>)
        .arg(one("log-level", "LEVEL").short('L').value_parser(["trace", "debug", "info"]).hide(true))
}

impl RuntimeFlags {
    /// Reads the flags that [`declare`] has declared.
    ///
    /// # Errors
    /// A flag of Deno that is not supported.
    pub(super) fn read(matches: &mut ArgMatches) -> Result<Self, clap::Error> {
        check_unsupported(matches, &UNSUPPORTED)?;
        let unstable = read_unstable(matches)?;
        let from_environment = std::env::var("DENO_V8_FLAGS").unwrap_or_default();
        let mut v8_flags: Vec<String> =
            from_environment.split(',').filter(|flag| !flag.is_empty()).map(Into::into).collect();
        v8_flags.extend(maybe_list(matches, "v8-flags").into_iter().flatten());
        let of_modules = Self::read_modules(matches);
        Ok(Self {
            permissions: permissions::read(matches),
            allow_all: matches.get_flag("allow-all"),
            permission_set: matches.remove_one("permission-set"),
            inspect: inspect::read(matches),
            location: matches.remove_one("location"),
            seed: matches.remove_one("seed"),
            v8_flags,
            unstable,
            modules: ModuleOptions { no_code_cache: matches.get_flag("no-code-cache"), ..of_modules.modules },
            ..of_modules
        })
    }

    /// Reads the flags that [`declare_for_modules`] has declared.
    pub(super) fn read_for_modules(matches: &mut ArgMatches) -> Self {
        Self { permissions: permissions::read_import(matches), ..Self::read_modules(matches) }
    }

    /// Reads the flags of every command that loads modules. The others are those of a command line without flags.
    fn read_modules(matches: &mut ArgMatches) -> Self {
        let config = match matches.remove_one("config") {
            Some(path) => Config::Path(path),
            None if matches.get_flag("no-config") => Config::None,
            None => Config::Discovered,
        };
        let lock = match matches.remove_one("lock") {
            Some(path) => Lock::Path(path),
            None if matches.get_flag("no-lock") => Lock::None,
            None => Lock::Discovered,
        };
        let modules = ModuleOptions {
            import_map: matches.remove_one("import-map"),
            config,
            reload: maybe_list(matches, "reload"),
            cached_only: matches.get_flag("cached-only"),
            no_remote: matches.get_flag("no-remote"),
            lock,
            frozen: matches.remove_one("frozen"),
            ..npm::read(matches)
        };
        let certificates = Certificates {
            file: matches.remove_one("cert"),
            unchecked_hosts: maybe_list(matches, "unsafely-ignore-certificate-errors"),
        };
        Self {
            env_files: maybe_list(matches, "env-file").unwrap_or_default(),
            quiet: matches.get_flag("quiet"),
            modules,
            certificates,
            ..Self::default()
        }
    }
}

impl RuntimeFlags {
    /// Returns whether any flag grants or denies permissions.
    pub(super) fn has_permissions(&self) -> bool {
        let prompt = self.permissions.prompt;
        self.permission_set.is_some()
            || self.permissions != PermissionsOptions { prompt, ..PermissionsOptions::default() }
    }
}

/// Returns the flag for the media type of a script.
pub(super) fn ext() -> Arg {
    let types = PossibleValuesParser::new(["ts", "tsx", "js", "jsx", "mts", "mjs", "cts", "cjs"]);
    let media_type = types.map(|ext| MediaType::from_path(Path::new(&format!("main.{ext}"))));
    Arg::new("ext")
        .long("ext")
        .value_name("TYPE")
        .value_parser(media_type)
        .help("The type of the script, by its file extension")
}

/// Declares flags of Deno that are not supported: name, letter, and the reason or an alternative.
pub(super) fn unsupported(command: Command, flags: &[(&'static str, Option<char>, &str)]) -> Command {
    command.args(flags.iter().map(|(name, letter, _)| optional(name).short(*letter)))
}

/// Returns an error if one of these flags is present.
pub(super) fn check_unsupported(matches: &ArgMatches, flags: &[(&str, Option<char>, &str)]) -> Result<(), clap::Error> {
    match flags.iter().find(|(name, ..)| matches.contains_id(name)) {
        Some((name, _, reason)) => Err(not_supported(&format!("--{name}"), reason)),
        None => Ok(()),
    }
}

/// Returns the error for a flag of Deno that is not supported.
pub(super) fn not_supported(flag: &str, reason: &str) -> clap::Error {
    clap::Error::raw(ErrorKind::InvalidValue, format!("'{flag}' is not supported: {reason}\n"))
}

/// Reads the unstable features that are enabled.
fn read_unstable(matches: &ArgMatches) -> Result<Vec<&'static str>, clap::Error> {
    let mut enabled = Vec::new();
    for (name, support) in FEATURES {
        let flag = unstable_flag(name);
        match support {
            _ if !matches.get_flag(&flag) => {}
            Support::Unsupported(reason) => return Err(not_supported(&format!("--{flag}"), reason)),
            Support::Always | Support::OnRequest => enabled.push(name),
        }
    }
    Ok(enabled)
}

fn unstable_flag(feature: &str) -> String {
    format!("unstable-{feature}")
}

fn location(text: &str) -> Result<Url, String> {
    let mut url = Url::parse(text).map_err(|error| error.to_string())?;
    if !["http", "https"].contains(&url.scheme()) {
        return Err("it must be an http or https URL".into());
    }
    // Scripts can read the location, so it must not have a password.
    url.set_username("").and_then(|()| url.set_password(None)).expect("http URLs have users and passwords");
    Ok(url)
}
