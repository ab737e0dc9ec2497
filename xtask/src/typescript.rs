//! Checks the types of all TypeScript, and lints it, by Deno: a tool for this alone, and no part of the product.

use std::process::{Command, Stdio};

/// What Deno checks and lints with. It says what is left out, and why.
const CONFIG: &str = "js/deno.jsonc";

/// The modules of the product.
const MODULES: &str = "js";

/// Where the scripts of tests, benchmarks and examples are.
const SCRIPTS: [&str; 7] =
    ["benches", "examples", "runtime/startup", "testdata/databases", "tests", "torture/scripts", "xtask/src"];

/// Leaves out the rules that are for modules: scripts print, and do what code of users does.
const WITHOUT_MODULE_RULES: &str =
    "--rules-exclude=eqeqeq,no-console,no-non-null-assertion,prefer-ascii,prefer-primordials";

/// Checks and lints. Returns whether that found nothing; where Deno is neither installed nor required, it is skipped.
pub fn check(is_required: bool) -> Result<bool, String> {
    if !is_installed() {
        let message =
            "TypeScript was not checked, as `deno` is not on the PATH: https://deno.com says how to install it";
        if is_required {
            return Err(message.into());
        }
        eprintln!("xtask: {message}");
        return Ok(true);
    }
    let all: Vec<_> = [MODULES].into_iter().chain(SCRIPTS).collect();
    let found_nothing = crate::succeeds(&mut deno("check", &all))?
        && crate::succeeds(&mut deno("lint", &[MODULES]))?
        && crate::succeeds(deno("lint", &SCRIPTS).arg(WITHOUT_MODULE_RULES))?;
    Ok(found_nothing)
}

fn is_installed() -> bool {
    let mut version = Command::new("deno");
    version.arg("--version").stdout(Stdio::null()).stderr(Stdio::null());
    version.status().is_ok_and(|status| status.success())
}

fn deno(command: &str, paths: &[&str]) -> Command {
    let mut deno = Command::new("deno");
    deno.args([command, "--quiet", "--config", CONFIG]).args(paths).current_dir(crate::root());
    deno
}
