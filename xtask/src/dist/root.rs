//! Checks that the binary runs in a directory that has nothing but the libraries to which it is linked.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::{env, fs, io};

/// The script, which opens its default database, and the last line of its second run.
const SCRIPT: &str = "examples/quickstart.ts";
const LAST_LINE: &str = "committed: true run: [Deno.KvU64: 2n]";

/// The commands that change the root, for root and for other users.
const CHANGES: [&[&str]; 2] = [&["chroot"], &["unshare", "--user", "--map-root-user", "chroot"]];

/// Runs the quick start twice in an empty root. Skipped where the system does not let this user change the root.
pub fn check(binary: &Path) -> Result<(), String> {
    let command = |change: &[&str]| {
        let mut command = Command::new(change[0]);
        command.args(&change[1..]);
        command
    };
    let is_allowed = |change: &&&[&str]| {
        let mut command = command(change);
        command.args(["/", "true"]).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
    };
    let Some(change) = CHANGES.iter().find(is_allowed) else {
        eprintln!("xtask: the quick start was not run in an empty root, because this user cannot change the root");
        return Ok(());
    };
    let root = tempfile::tempdir().map_err(|error| format!("failed to create an empty root: {error}"))?;
    fill(root.path(), binary).map_err(|error| format!("failed to fill an empty root: {error}"))?;
    let mut last_line = String::new();
    for _ in 0..2 {
        let mut openkv = command(change);
        openkv.arg(root.path()).args(["/openkv", "run", "-A", "/quickstart.ts"]);
        openkv.env_clear().env("PATH", env::var_os("PATH").unwrap_or_default()).env("HOME", "/");
        openkv.stderr(Stdio::inherit());
        let output = openkv.output().map_err(|error| format!("failed to run {change:?}: {error}"))?;
        last_line = String::from_utf8_lossy(&output.stdout).lines().last().unwrap_or_default().to_owned();
    }
    if last_line == LAST_LINE {
        Ok(())
    } else {
        Err(format!("in an empty root, the last line of the quick start is {last_line:?}, not {LAST_LINE:?}"))
    }
}

fn fill(root: &Path, binary: &Path) -> io::Result<()> {
    for path in libraries(binary)? {
        let copy = root.join(path.strip_prefix("/").unwrap_or(&path));
        fs::create_dir_all(copy.with_file_name(""))?;
        fs::copy(&path, copy)?;
    }
    fs::copy(binary, root.join("openkv"))?;
    fs::copy(crate::root().join(SCRIPT), root.join("quickstart.ts"))?;
    Ok(())
}

/// Returns the libraries to which a binary is linked, and their loader.
fn libraries(binary: &Path) -> io::Result<Vec<PathBuf>> {
    let output = Command::new("ldd").arg(binary).stderr(Stdio::inherit()).output()?;
    // A line is `libm.so.6 => /lib/libm.so.6 (0x00007f00)`, or has a path alone.
    let text = String::from_utf8_lossy(&output.stdout);
    Ok(text.split_whitespace().filter(|word| word.starts_with('/')).map(PathBuf::from).collect())
}
