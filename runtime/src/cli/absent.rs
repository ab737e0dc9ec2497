//! Commands of Deno that are not here.

use clap::Command;
use clap::error::ErrorKind;

/// The commands, by their names. As on Deno, each is a command even where a file has its name.
const COMMANDS: [&str; 43] = [
    "add",
    "approve-scripts",
    "audit",
    "bench",
    "bump-version",
    "bundle",
    "cache",
    "check",
    "ci",
    "clean",
    "compile",
    "coverage",
    "create",
    "deploy",
    "desktop",
    "doc",
    "fmt",
    "i",
    "info",
    "init",
    "install",
    "jupyter",
    "link",
    "lint",
    "list",
    "lsp",
    "outdated",
    "pack",
    "publish",
    "remove",
    "rm",
    "sandbox",
    "serve",
    "task",
    "transpile",
    "uninstall",
    "unlink",
    "update",
    "upgrade",
    "vendor",
    "watch",
    "why",
    "x",
];

/// Returns the error of a command that Deno has, if `name` is one.
pub(super) fn error(name: &str, openkv: &Command) -> Option<clap::Error> {
    COMMANDS.contains(&name).then(|| {
        let instead = match name {
            "bench" => "benchmarks are not run: call Deno.bench under `deno bench`".into(),
            "cache" | "install" | "i" | "ci" | "add" => "remote modules are fetched when a script imports them".into(),
            "check" => "types are not checked: run `deno check`".into(),
            "coverage" => "coverage is not collected".into(),
            "serve" => "call Deno.serve in the script, and run it with `openkv run`".into(),
            "vendor" => "Deno 2 removed it: remote modules are kept in the cache only".into(),
            "watch" => "files are not watched: run the script with `openkv run`".into(),
            _ => format!("run `deno {name}`"),
        };
        let message = format!(
            "the command '{name}' is not supported: {instead}\n\nTo run a file of that name: {} run {name}\n",
            openkv.get_name()
        );
        clap::Error::raw(ErrorKind::InvalidSubcommand, message)
    })
}
