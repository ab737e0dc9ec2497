//! Runs the lifecycle scripts of npm packages that are allowed to run them.

use std::env;
use std::ffi::OsString;
use std::io;
use std::path::Path;
use std::process::Stdio;

use deno_core::anyhow::{self, anyhow};
use deno_npm_installer::lifecycle_scripts::{
    LIFECYCLE_SCRIPTS_RUNNING_ENV_VAR, LifecycleScriptsExecutor, LifecycleScriptsExecutorOptions, PackageWithScript,
    compute_lifecycle_script_layers, is_broken_default_install_script,
};
use sys_traits::impls::RealSys;
use tokio::process::Command;

use crate::environment::Environment;

/// The scripts that npm runs when it installs a package, in order.
const SCRIPTS: [&str; 3] = ["preinstall", "install", "postinstall"];

/// Runs lifecycle scripts with the system shell, dependencies first, in the environment that the process was started with.
#[derive(Debug)]
pub(super) struct InstallScripts;

#[async_trait::async_trait(?Send)]
impl LifecycleScriptsExecutor for InstallScripts {
    async fn execute(&self, options: LifecycleScriptsExecutorOptions<'_>) -> Result<(), anyhow::Error> {
        let path = search_path(&options.root_node_modules_dir_path.join(".bin"))?;
        let packages = options.packages_with_scripts;
        let layers = compute_lifecycle_script_layers(packages, options.snapshot, options.additional_packages);
        for package in layers.into_iter().flatten() {
            let directories = package.init_cwds.iter().map(|directory| &**directory);
            let directories: Vec<&Path> =
                if package.init_cwds.is_empty() { vec![options.init_cwd] } else { directories.collect() };
            for directory in directories {
                run_all(package, directory, &path).await?;
            }
            (options.on_ran_pkg_scripts)(package.package)?;
        }
        Ok(())
    }
}

async fn run_all(package: &PackageWithScript<'_>, init_cwd: &Path, path: &OsString) -> Result<(), anyhow::Error> {
    let directory = &package.package_folder;
    for name in SCRIPTS {
        let Some(script) = package.scripts.get(name) else { continue };
        if name == "install" && is_broken_default_install_script(&RealSys, script, directory) {
            continue;
        }
        let mut command = shell(script);
        command.current_dir(directory).stdin(Stdio::null());
        command.env_clear().envs(Environment::at_start().variables.iter().map(|(name, value)| (name, value)));
        command.env("PATH", path).env("INIT_CWD", init_cwd);
        command.env("npm_lifecycle_event", name).env(LIFECYCLE_SCRIPTS_RUNNING_ENV_VAR, "1");
        let package = &package.package.id.nv;
        let output = command
            .output()
            .await
            .map_err(|error| anyhow!("failed to run the script {name:?} of npm:{package}: {error}"))?;
        if !output.status.success() {
            let printed = [output.stdout, output.stderr].concat();
            let printed = String::from_utf8_lossy(&printed);
            return Err(anyhow!(
                "the script {name:?} of npm:{package} failed, {}\n{}",
                output.status,
                printed.trim_end()
            ));
        }
    }
    Ok(())
}

/// Returns `PATH` with the directory of the packages' programs prepended.
fn search_path(programs: &Path) -> Result<OsString, io::Error> {
    let variables = &Environment::at_start().variables;
    let path = variables.iter().find(|(name, _)| name == "PATH").map(|(_, path)| path.as_os_str());
    let directories = [programs.to_owned()].into_iter().chain(env::split_paths(path.unwrap_or_default()));
    env::join_paths(directories).map_err(io::Error::other)
}

#[cfg(unix)]
fn shell(script: &str) -> Command {
    let mut command = Command::new("/bin/sh");
    command.args(["-c", script]);
    command
}

#[cfg(windows)]
fn shell(script: &str) -> Command {
    let mut command = Command::new("cmd");
    command.args(["/d", "/s", "/c", script]);
    command
}
