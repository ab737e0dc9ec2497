//! Commands of Deno that OpenKV lacks.

use clap::error::ErrorKind;

/// The names of the commands. As on Deno, each is a command even if a file has the same name.
const COMMANDS: [&str; 34] = [
    "approve-scripts",
    "audit",
    "bench",
    "bump-version",
    "bundle",
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
    "info",
    "init",
    "jupyter",
    "link",
    "lint",
    "list",
    "lsp",
    "outdated",
    "pack",
    "publish",
    "sandbox",
    "transpile",
    "unlink",
    "update",
    "upgrade",
    "vendor",
    "watch",
    "why",
    "x",
];

/// Returns whether only Deno has a command.
pub(super) fn is_absent(name: &str) -> bool {
    COMMANDS.contains(&name)
}

/// Returns the error for a command of Deno, if `name` is one.
pub(super) fn error(name: &str) -> Option<clap::Error> {
    is_absent(name).then(|| {
        let instead = match name {
            "bench" => "benchmarks are not run: run `deno bench`".into(),
            "ci" => "run `openkv install --frozen`".into(),
            "check" => "types are not checked: run `deno check`".into(),
            "coverage" => "coverage is not collected".into(),
            "vendor" => "Deno 2 removed it, and remote modules are stored in the cache only".into(),
            "watch" => "run the script with `openkv run --watch`".into(),
            _ => format!("run `deno {name}`"),
        };
        let message = format!(
            "the command '{name}' is not supported: {instead}\n\nTo run a file with that name: openkv run {name}\n"
        );
        clap::Error::raw(ErrorKind::InvalidSubcommand, message)
    })
}
