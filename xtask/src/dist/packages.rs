//! The crates of the workspace and of the binary, as cargo resolves them.

use std::collections::BTreeSet;
use std::path::PathBuf;

use serde_json::Value;

/// A crate in the binary.
pub struct Package {
    /// Its name and version.
    pub title: String,
    pub manifest: PathBuf,
    /// The expression of its licences.
    pub license: String,
}

/// Returns the manifests of the crates of the workspace.
pub fn members() -> Result<Vec<PathBuf>, String> {
    let metadata = metadata(&["--no-deps"])?;
    let packages = metadata["packages"].as_array().into_iter().flatten();
    Ok(packages.map(|package| text(&package["manifest_path"]).into()).collect())
}

/// Returns the crates of other projects in the binary, without those that only its build uses.
pub fn linked() -> Result<Vec<Package>, String> {
    let tree = output(&["tree", "--package", "openkv", "--edges", "normal", "--prefix", "none", "--format", "{p}"])?;
    // A crate of the workspace has its path after its version.
    let linked: BTreeSet<_> = tree.lines().map(|line| line.trim_end_matches(" (*)")).collect();
    let metadata = metadata(&[])?;
    let packages = metadata["packages"].as_array().into_iter().flatten().map(|package| Package {
        title: format!("{} v{}", text(&package["name"]), text(&package["version"])),
        manifest: text(&package["manifest_path"]).into(),
        license: text(&package["license"]),
    });
    Ok(packages.filter(|package| linked.contains(package.title.as_str())).collect())
}

fn metadata(args: &[&str]) -> Result<Value, String> {
    let json = output(&[&["metadata", "--locked", "--format-version", "1"], args].concat())?;
    serde_json::from_str(&json).map_err(|error| format!("cargo prints invalid metadata: {error}"))
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// Returns what cargo prints.
fn output(args: &[&str]) -> Result<String, String> {
    let output = crate::cargo(args).current_dir(crate::root()).output();
    let output = output.map_err(|error| format!("failed to run cargo: {error}"))?;
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    } else {
        Err(format!("cargo {} failed: {}", args[0], String::from_utf8_lossy(&output.stderr)))
    }
}
