//! Storage faults, from the start or while a database is open.

use std::fs;
use std::path::Path;
use std::process::{Output, Stdio};
use std::time::Duration;

use super::{Figure, Figures, Setting};
use crate::failed;
use crate::runtime::{wait, wait_for_line};

const DATABASE: &str = "kv.sqlite3";

/// How long a script may run before it counts as hanging.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Longer than what the script has written.
static GARBAGE: [u8; 256 * 1024] = [0x5a; 256 * 1024];

/// How the storage is made to fail.
enum Fault {
    /// The script runs under a shell that restricts the directory. Linux only, and not on every system.
    Within(&'static str),
    /// Modifies the directory before the script starts.
    Before(fn(&Path) -> std::io::Result<()>),
    /// Modifies the directory once the database is open.
    After(fn(&Path) -> std::io::Result<()>),
}

const FAULTS: [(&str, Fault); 8] = [
    (
        "the disk is full",
        Fault::Within("unshare -rm sh -c 'mount -t tmpfs -o size=1m none . && cd \"$PWD\" && exec \"$@\"' sh \"$@\""),
    ),
    (
        "the directory is on a read-only disk",
        Fault::Within(
            "unshare -rm sh -c 'mount --bind . . && mount -o remount,bind,ro . && cd \"$PWD\" && exec \"$@\"' sh \"$@\"",
        ),
    ),
    ("the file size is limited", Fault::Within("trap '' XFSZ; ulimit -f 512; exec \"$@\"")),
    ("the file is garbage", Fault::Before(|directory| fs::write(directory.join(DATABASE), GARBAGE))),
    ("the file is a directory", Fault::Before(|directory| fs::create_dir(directory.join(DATABASE)))),
    ("the file is overwritten with garbage while open", Fault::After(|directory| overwrite(directory, ""))),
    ("the WAL is overwritten with garbage while open", Fault::After(|directory| overwrite(directory, "-wal"))),
    ("the file is deleted while open", Fault::After(|directory| fs::remove_file(directory.join(DATABASE)))),
];

pub(super) fn faults(setting: &Setting) -> Figures {
    let mut figures = Vec::new();
    for (i, (what, fault)) in FAULTS.iter().enumerate() {
        let directory = setting.directory.path().join(i.to_string());
        fs::create_dir(&directory).map_err(failed("creating a directory"))?;
        let (shown, holds) = result_of(run(setting, &directory, fault).map_err(failed(what))?.as_ref());
        figures.push(Figure::new(what, shown, holds));
    }
    Ok(figures)
}

/// Runs the script with a fault. Returns `None` if it hung.
fn run(setting: &Setting, directory: &Path, fault: &Fault) -> Result<Option<Output>, String> {
    const SCRIPT: &str = "compare/fault.ts";
    let mut command = match fault {
        Fault::Within(shell) => setting.runtime.within(&["sh", "-c", shell, "sh"], SCRIPT, directory),
        Fault::Before(_) | Fault::After(_) => setting.runtime.script(SCRIPT, directory),
    };
    command.arg(DATABASE);
    if let Fault::Before(inject) = fault {
        inject(directory).map_err(failed("injecting the fault"))?;
    }
    let Fault::After(inject) = fault else {
        return wait(command.spawn().map_err(failed("starting a script"))?, TIMEOUT);
    };
    let mut child = command.arg("later").stdin(Stdio::piped()).spawn().map_err(failed("starting a script"))?;
    wait_for_line(&mut child, "ready")?;
    inject(directory).map_err(failed("injecting the fault"))?;
    // The script waits for the end of its input.
    drop(child.stdin.take());
    wait(child, TIMEOUT)
}

/// Overwrites an open file in place.
fn overwrite(directory: &Path, suffix: &str) -> std::io::Result<()> {
    let file = fs::OpenOptions::new().write(true).open(directory.join(format!("{DATABASE}{suffix}")))?;
    std::io::Write::write_all(&mut &file, &GARBAGE)
}

/// Describes how a script exited, and whether it reported the error itself.
fn result_of(output: Option<&Output>) -> (String, bool) {
    let Some(output) = output else { return ("hangs".into(), false) };
    if !output.status.success() {
        let error = String::from_utf8_lossy(&output.stderr);
        let panicked = error.lines().any(|line| line.contains("panicked at"));
        return (format!("{}, {}", if panicked { "a panic" } else { "fails" }, output.status), false);
    }
    let printed = String::from_utf8_lossy(&output.stdout);
    (format!("`{}`", printed.lines().last().unwrap_or_default()), true)
}
