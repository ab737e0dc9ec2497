//! Programs of other projects that commands use. They are installed at first use: as dependencies, they would slow the build of all
//! other commands.

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A program that cargo can install, in the version that is installed.
pub struct Tool {
    pub name: &'static str,
    pub version: &'static str,
    /// Further arguments of `cargo install`.
    pub args: &'static [&'static str],
}

impl Tool {
    /// Returns the program: the one on the `PATH`, or the one in `target/tools`, which is installed at first use.
    pub fn find(&self) -> Result<PathBuf, String> {
        let tools = crate::target_directory().join("tools");
        let installed = tools.join("bin").join(format!("{}{}", self.name, env::consts::EXE_SUFFIX));
        if let Some(found) = [Path::new(self.name), &installed].into_iter().find(|program| is_installed(program)) {
            return Ok(found.to_owned());
        }
        let mut install = crate::cargo(&["install", "--quiet", "--locked", "--version", self.version, self.name]);
        // The tools share the builds of their dependencies.
        install.args(self.args).arg("--root").arg(&tools).arg("--target-dir").arg(tools.join("build"));
        if crate::succeeds(&mut install)? {
            Ok(installed)
        } else {
            Err(format!("failed to install {}: install it with your package manager", self.name))
        }
    }
}

/// Returns whether a program starts. The subcommands of cargo fail without their name.
fn is_installed(program: &Path) -> bool {
    Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok()
}
