//! Checks the types of all TypeScript, and lints it, with Deno, which is only a development tool here.

use std::process::{Command, Stdio};

/// The configuration of the checks and lints. It states which rules are disabled, and why.
const CONFIG: &str = "js/deno.jsonc";

/// The modules of the product.
const MODULES: &str = "js";

/// The directories of the scripts of tests, benchmarks and examples.
const SCRIPTS: [&str; 8] = [
    "benches",
    "examples",
    "runtime/data",
    "runtime/studio",
    "testdata/databases",
    "tests",
    "torture/scripts",
    "xtask/src",
];

/// The page of the studio, which has the types of a browser, and its configuration.
const PAGE: &str = "runtime/studio/page";
const PAGE_CONFIG: &str = "runtime/studio/page/deno.jsonc";

/// Disables the rules for modules: scripts print, and are written like user code.
const WITHOUT_MODULE_RULES: &str =
    "--rules-exclude=eqeqeq,no-console,no-non-null-assertion,prefer-ascii,prefer-primordials";

/// Checks and lints. Returns whether it found no problems. Skipped if Deno is neither installed nor required.
pub fn check(is_required: bool) -> Result<bool, String> {
    if !is_installed() {
        let message =
            "TypeScript was not checked, because `deno` is not on the PATH: see https://deno.com for how to install it";
        if is_required {
            return Err(message.into());
        }
        eprintln!("xtask: {message}");
        return Ok(true);
    }
    let all: Vec<_> = [MODULES].into_iter().chain(SCRIPTS).collect();
    let found_nothing = crate::succeeds(&mut deno("check", CONFIG, &all))?
        && crate::succeeds(&mut deno("check", PAGE_CONFIG, &[PAGE]))?
        && crate::succeeds(&mut deno("lint", CONFIG, &[MODULES]))?
        && crate::succeeds(deno("lint", CONFIG, &SCRIPTS).arg(WITHOUT_MODULE_RULES))?
        && crate::succeeds(&mut deno("lint", PAGE_CONFIG, &[PAGE]))?;
    Ok(found_nothing)
}

fn is_installed() -> bool {
    let mut version = Command::new("deno");
    version.arg("--version").stdout(Stdio::null()).stderr(Stdio::null());
    version.status().is_ok_and(|status| status.success())
}

fn deno(command: &str, config: &str, paths: &[&str]) -> Command {
    let mut deno = Command::new("deno");
    deno.args([command, "--quiet", "--config", config]).args(paths).current_dir(crate::root());
    deno
}
