//! `cargo xtask screenshots`: generates the images of docs/studio.md by driving the page of `openkv studio` in Chromium.

use std::ffi::OsString;
use std::fs;
use std::process::{Command, ExitCode};

/// The script that drives the page, and writes the images.
const SCRIPT: &str = "xtask/src/screenshots/write.ts";
const IMAGES: &str = "docs/images";

/// Writes the images.
pub fn write(args: &[OsString]) -> Result<ExitCode, String> {
    let openkv = match args {
        [] if crate::build_release()? => crate::target_directory().join("release/openkv").into_os_string(),
        [] => return Ok(ExitCode::FAILURE),
        [flag, path] if flag == "--openkv" => path.clone(),
        _ => return Err(format!("screenshots takes --openkv PATH, not {args:?}")),
    };
    let openkv = fs::canonicalize(openkv).map_err(|error| format!("failed to find openkv: {error}"))?;
    let mut command = Command::new(openkv);
    command.args(["run", "-A", SCRIPT, IMAGES]).current_dir(crate::root());
    Ok(if crate::succeeds(&mut command)? { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
