//! Checks that the binary runs in a root that has nothing but the libraries to which it is linked.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::{env, fs, io};

/// The script, which opens its default database, and the last line of its second run.
const SCRIPT: &str = "examples/quickstart.ts";
const LAST_LINE: &str = "committed: true run: [Deno.KvU64: 2n]";

/// The commands that change the root, for root and for other users.
const CHANGES: [&[&str]; 2] = [&["chroot"], &["unshare", "--user", "--map-root-user", "chroot"]];

/// Runs the quick start twice in an empty root, or only with an empty home directory where the system does not let this user change
/// the root.
pub fn check(binary: &Path) -> Result<(), String> {
    let root = tempfile::tempdir().map_err(|error| format!("failed to create an empty root: {error}"))?;
    let change = CHANGES.into_iter().find(|change| is_allowed(change));
    let (program, script) = match change {
        Some(_) => {
            fill(root.path(), binary).map_err(|error| format!("failed to fill an empty root: {error}"))?;
            (PathBuf::from("/openkv"), PathBuf::from("/quickstart.ts"))
        }
        None => (binary.to_owned(), crate::root().join(SCRIPT)),
    };
    let home = if change.is_some() { Path::new("/") } else { root.path() };
    let mut last_line = String::new();
    for _ in 0..2 {
        let mut openkv = match change {
            Some(change) => {
                let mut changed = command(change);
                changed.arg(root.path()).arg(&program);
                changed
            }
            None => Command::new(&program),
        };
        openkv.args(["run", "-A"]).arg(&script).stderr(Stdio::inherit());
        openkv.env_clear().env("PATH", env::var_os("PATH").unwrap_or_default()).env("HOME", home);
        let output = openkv.output().map_err(|error| format!("failed to run {openkv:?}: {error}"))?;
        last_line = String::from_utf8_lossy(&output.stdout).lines().last().unwrap_or_default().to_owned();
    }
    let place = if change.is_some() { "in an empty root" } else { "with an empty home directory" };
    if last_line != LAST_LINE {
        return Err(format!("{place}, the last line of the quick start is {last_line:?}, not {LAST_LINE:?}"));
    }
    if change.is_none() {
        eprintln!("xtask: the quick start ran {place} only, because this user, or system, cannot change the root");
    }
    Ok(())
}

fn command(change: &[&str]) -> Command {
    let mut command = Command::new(change[0]);
    command.args(&change[1..]);
    command
}

fn is_allowed(change: &[&str]) -> bool {
    let run = || command(change).args(["/", "true"]).stderr(Stdio::null()).status();
    cfg!(target_os = "linux") && run().is_ok_and(|status| status.success())
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
