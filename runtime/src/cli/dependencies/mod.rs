//! `openkv add`, `remove`, `install` and `cache`: manage the dependencies of a project.

mod actions;
mod manifest;
mod request;

use clap::{Arg, ArgMatches, Command};
use openkv::{InstallOptions, Registry};

use super::arguments::switch;
use super::flags::{self, RuntimeFlags};
use super::launch;
use super::outcome::Outcome;
use actions::{Action, Add, Install};
use manifest::Section;

/// A command that manages dependencies, with its arguments.
pub(crate) struct Dependencies {
    action: Action,
    flags: RuntimeFlags,
}

/// Flags of `deno install` that are not supported.
const UNSUPPORTED: [(&str, Option<char>, &str); 8] = [
    ("arch", None, "packages are installed for this machine"),
    ("check", None, "types are not checked: run `deno check`"),
    ("compile", None, "run `deno install --compile`"),
    ("force", Some('f'), "programs are not installed: run `deno install --global`"),
    ("global", Some('g'), "programs are not installed: run `deno install --global`"),
    ("name", Some('n'), "programs are not installed: run `deno install --global`"),
    ("os", None, "packages are installed for this machine"),
    ("root", None, "programs are not installed: run `deno install --global`"),
];

/// Flags of `deno remove` that are not supported.
const UNSUPPORTED_BY_REMOVE: [(&str, Option<char>, &str); 2] = [
    ("global", Some('g'), "programs are not installed: run `deno uninstall --global`"),
    ("root", None, "programs are not installed: run `deno uninstall --global`"),
];

/// Flags of `deno cache` that are not supported.
const UNSUPPORTED_BY_CACHE: [(&str, Option<char>, &str); 2] = [
    ("check", None, "types are not checked: run `deno check`"),
    ("ext", None, "modules are read by their file extensions"),
];

const PACKAGES: &str =
    "Packages, as npm:NAME, jsr:@SCOPE/NAME or NAME, with a version after @. ALIAS@npm:NAME sets the name of imports";

pub(super) fn declare_add() -> Command {
    let command = Command::new("add")
        .about("Adds dependencies to deno.json or package.json, and installs them")
        .override_usage("openkv add [FLAGS] PACKAGES...")
        .arg(names("packages", "PACKAGES").required(true).help(PACKAGES));
    flags::declare_for_modules(declare_added(command)).next_help_heading(None::<&str>)
}

pub(super) fn declare_remove() -> Command {
    let command = Command::new("remove")
        .about("Removes dependencies from deno.json and package.json, and from node_modules")
        .override_usage("openkv remove [FLAGS] PACKAGES...")
        .arg(names("packages", "PACKAGES").required(true).help("The names that the packages are imported by"))
        .arg(lockfile_only())
        .arg(package_json());
    flags::unsupported(flags::declare_for_modules(command), &UNSUPPORTED_BY_REMOVE)
}

pub(super) fn declare_install() -> Command {
    let command = Command::new("install")
        .about("Installs the dependencies of deno.json and package.json, or adds packages")
        .override_usage(
            "openkv install [FLAGS]\n       openkv install [FLAGS] PACKAGES...\n       openkv install [FLAGS] --entrypoint FILES...",
        )
        .arg(names("packages", "PACKAGES").help(PACKAGES))
        .arg(switch("entrypoint").short('e').help("Install what these modules import, instead of adding packages"))
        .arg(switch("prod").alias("production").help("Leave out devDependencies of package.json"))
        .arg(switch("skip-types").help("Leave out packages of type declarations, @types/*"));
    flags::unsupported(flags::declare_for_modules(declare_added(command)), &UNSUPPORTED)
}

pub(super) fn declare_cache() -> Command {
    let command = Command::new("cache")
        .about("Downloads modules and what they import, so that they run offline")
        .override_usage("openkv cache [FLAGS] FILES...")
        .arg(names("files", "FILES").required(true).help("Paths or URLs of modules"));
    flags::unsupported(flags::declare_for_modules(command), &UNSUPPORTED_BY_CACHE)
}

/// Declares the flags for packages that are added.
fn declare_added(command: Command) -> Command {
    command
        .arg(switch("dev").short('D').help("Add to devDependencies of package.json"))
        .arg(
            switch("save-optional")
                .short('O')
                .conflicts_with("dev")
                .help("Add to optionalDependencies of package.json"),
        )
        .arg(switch("no-save").help("Install the packages without adding them to a file"))
        .arg(switch("save-exact").alias("exact").help("Accept only the version that is chosen now"))
        .arg(switch("unscoped").help("Import @SCOPE/NAME as NAME"))
        .arg(switch("npm").conflicts_with("jsr").help("Names without a prefix are packages of npm, the default"))
        .arg(switch("jsr").help("Names without a prefix are packages of JSR"))
        .arg(lockfile_only())
        .arg(package_json())
}

fn names(name: &'static str, value: &'static str) -> Arg {
    Arg::new(name).value_name(value).num_args(0..)
}

fn lockfile_only() -> Arg {
    switch("lockfile-only").help("Update the lock file without installing packages")
}

fn package_json() -> Arg {
    switch("package-json").help("Use package.json only, and create it if it is missing")
}

pub(super) fn read_add(matches: &mut ArgMatches) -> Result<Dependencies, clap::Error> {
    let packages = values(matches, "packages");
    managing(Action::Add(added(matches, packages)), matches)
}

pub(super) fn read_remove(matches: &mut ArgMatches) -> Result<Dependencies, clap::Error> {
    flags::check_unsupported(matches, &UNSUPPORTED_BY_REMOVE)?;
    let packages = values(matches, "packages");
    managing(Action::Remove(packages, installed(matches)), matches)
}

pub(super) fn read_install(matches: &mut ArgMatches) -> Result<Dependencies, clap::Error> {
    flags::check_unsupported(matches, &UNSUPPORTED)?;
    let packages = values(matches, "packages");
    let is_entrypoint = matches.get_flag("entrypoint");
    let action = match packages {
        files if is_entrypoint => Action::Cache(files),
        none if none.is_empty() => Action::Install(installed(matches)),
        packages => Action::Add(added(matches, packages)),
    };
    let mut dependencies = managing(action, matches)?;
    let install = &mut dependencies.flags.modules.install;
    *install = InstallOptions {
        cleans: !is_entrypoint,
        production: matches.get_flag("prod"),
        skip_types: matches.get_flag("skip-types"),
        ..*install
    };
    Ok(dependencies)
}

pub(super) fn read_cache(matches: &mut ArgMatches) -> Result<Dependencies, clap::Error> {
    flags::check_unsupported(matches, &UNSUPPORTED_BY_CACHE)?;
    let action = Action::Cache(values(matches, "files"));
    Ok(Dependencies { action, flags: RuntimeFlags::read_for_modules(matches) })
}

/// Reads the other flags of a command that changes `node_modules`.
fn managing(action: Action, matches: &mut ArgMatches) -> Result<Dependencies, clap::Error> {
    let mut flags = RuntimeFlags::read_for_modules(matches);
    flags.modules.install = InstallOptions { manages: true, cleans: true, ..InstallOptions::default() };
    Ok(Dependencies { action, flags })
}

fn added(matches: &ArgMatches, packages: Vec<String>) -> Add {
    Add {
        packages,
        section: match () {
            () if matches.get_flag("dev") => Section::DevDependencies,
            () if matches.get_flag("save-optional") => Section::OptionalDependencies,
            () => Section::Dependencies,
        },
        no_save: matches.get_flag("no-save"),
        exact: matches.get_flag("save-exact"),
        unscoped: matches.get_flag("unscoped"),
        registry: if matches.get_flag("jsr") { Registry::Jsr } else { Registry::Npm },
        install: installed(matches),
    }
}

fn installed(matches: &ArgMatches) -> Install {
    Install { lock_only: matches.get_flag("lockfile-only"), package_json: matches.get_flag("package-json") }
}

fn values(matches: &mut ArgMatches, name: &str) -> Vec<String> {
    matches.remove_many(name).into_iter().flatten().collect()
}

impl Dependencies {
    pub(super) fn execute(self) -> Outcome {
        launch::prepare(&self.flags)?;
        launch::block_on(self.action.run(&self.flags))?.map(|()| 0)
    }
}
