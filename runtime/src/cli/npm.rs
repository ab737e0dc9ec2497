//! The flags about packages of npm.

use clap::builder::PossibleValuesParser;
use clap::builder::TypedValueParser;
use clap::{Arg, ArgAction, ArgMatches, value_parser};
use deno_config::deno_json::{NewestDependencyDate, NodeModulesDirMode, NodeModulesLinkerMode};
use deno_config::parse_minutes_duration_or_date;
use deno_npm_installer::PackagesAllowedScripts;
use deno_semver::jsr::JsrDepPackageReq;
use deno_semver::package::{PackageKind, PackageReq};
use openkv::ModuleOptions;
use sys_traits::impls::RealSys;

use super::arguments::{list, one, switch};

/// Returns the flags.
pub(super) fn flags() -> [Arg; 7] {
    let mode = PossibleValuesParser::new(["auto", "manual", "none", "true", "false"]).map(|mode| match &*mode {
        "manual" => NodeModulesDirMode::Manual,
        "none" | "false" => NodeModulesDirMode::None,
        _ => NodeModulesDirMode::Auto,
    });
    let linker = PossibleValuesParser::new(["isolated", "hoisted"]).map(|linker| match &*linker {
        "hoisted" => NodeModulesLinkerMode::Hoisted,
        _ => NodeModulesLinkerMode::Isolated,
    });
    [
        switch("no-npm").help("Refuse packages of npm"),
        Arg::new("node-modules-dir")
            .long("node-modules-dir")
            .value_name("MODE")
            .num_args(0..=1)
            .require_equals(true)
            .default_missing_value("auto")
            .value_parser(mode)
            .help(
                "Install packages of npm into node_modules (auto), take them from there (manual), or do without (none)",
            ),
        one("node-modules-linker", "MODE")
            .value_parser(linker)
            .help("How packages lie in node_modules: each with its own dependencies (isolated), or flat (hoisted)"),
        Arg::new("vendor")
            .long("vendor")
            .value_name("BOOLEAN")
            .num_args(0..=1)
            .require_equals(true)
            .default_missing_value("true")
            .value_parser(value_parser!(bool))
            .help("Keep remote modules in the directory vendor, and packages of npm in node_modules"),
        list("allow-scripts".into(), "PACKAGE").value_parser(package).help(
            "Run the scripts of packages of npm when they are installed into node_modules: of all, or of those listed",
        ),
        one("conditions", "CONDITION")
            .value_delimiter(',')
            .action(ArgAction::Append)
            .help("Conditions for the exports of packages of npm, besides the usual ones [env: DENO_CONDITIONS]"),
        one("min-dep-age", "AGE").value_parser(age).help(
            "Choose versions that are this old: minutes, an ISO 8601 duration, a date, or 0 for any; by default a day",
        ),
    ]
}

/// Reads the flags.
pub(super) fn read(matches: &mut ArgMatches) -> ModuleOptions {
    let conditions: Vec<String> = matches.remove_many("conditions").into_iter().flatten().collect();
    let from_environment = || {
        let conditions = std::env::var("DENO_CONDITIONS").unwrap_or_default();
        conditions.split(',').map(str::trim).filter(|condition| !condition.is_empty()).map(Into::into).collect()
    };
    let allow_scripts = match matches.remove_many::<PackageReq>("allow-scripts") {
        None => PackagesAllowedScripts::None,
        Some(packages) if packages.len() == 0 => PackagesAllowedScripts::All,
        Some(packages) => PackagesAllowedScripts::Some(packages.collect()),
    };
    ModuleOptions {
        no_npm: matches.get_flag("no-npm"),
        node_modules_dir: matches.remove_one("node-modules-dir"),
        node_modules_linker: matches.remove_one("node-modules-linker"),
        vendor: matches.remove_one("vendor"),
        allow_scripts,
        conditions: if conditions.is_empty() { from_environment() } else { conditions },
        newest_dependency_date: matches.remove_one::<NewestDependencyDate>("min-dep-age"),
        ..ModuleOptions::default()
    }
}

/// Reads what packages are meant, as `npm:name` or `npm:name@version`.
fn package(text: &str) -> Result<PackageReq, String> {
    let package = JsrDepPackageReq::from_str_loose(text).map_err(|error| error.to_string())?;
    match (package.kind, package.req.version_req.tag()) {
        (PackageKind::Npm, None) => Ok(package.req),
        (PackageKind::Npm, Some(tag)) => Err(format!("the tag \"{tag}\" is no version")),
        (PackageKind::Jsr, _) => Err("only packages of npm have scripts".into()),
    }
}

fn age(text: &str) -> Result<NewestDependencyDate, String> {
    parse_minutes_duration_or_date(&RealSys, text).map_err(|error| error.to_string())
}
