//! Checks the dependencies with cargo-deny: licences, duplicate versions, sources, and advisories. See `deny.toml`.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::tools::Tool;

const CARGO_DENY: Tool = Tool { name: "cargo-deny", version: "0.20.2", args: &["--debug", "--no-default-features"] };

/// Checks the dependencies. Advisories are skipped if their database cannot be fetched. Returns whether nothing was found.
pub fn check() -> Result<bool, String> {
    let program = CARGO_DENY.find()?;
    let mut checks = vec!["bans", "licenses", "sources"];
    if has_advisories(&program) {
        checks.push("advisories");
    } else {
        eprintln!("xtask: advisories were not checked, because their database cannot be fetched");
    }
    crate::succeeds(cargo_deny(&program).args(["check", "--hide-inclusion-graph"]).args(checks))
}

/// Fetches the database of advisories. Returns whether it is available.
fn has_advisories(program: &Path) -> bool {
    let mut fetch = cargo_deny(program);
    fetch.args(["fetch", "db"]).stdout(Stdio::null()).stderr(Stdio::null());
    fetch.status().is_ok_and(|status| status.success())
}

fn cargo_deny(program: &Path) -> Command {
    let mut command = Command::new(program);
    command.current_dir(crate::root());
    command
}
