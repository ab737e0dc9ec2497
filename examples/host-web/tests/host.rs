//! Tests that the host runs its script.

use std::path::Path;
use std::time::Duration;

use assert_cmd::Command;

const OUTPUT: &str = r#"pong: 0n
pong: 1n
pong: 2n
pong: 3n
message: game over
{ name: "ball", blob: Blob { size: 6, type: "text/plain" } } a ball
NotCapable: this host does not allow scripts to open the database "../game.db"
NotCapable: this host does not allow scripts to open the database "/tmp/game.db"
NotCapable: this host does not allow scripts to open the database "game.sqlite3"
rust: message well played
"#;

#[test]
fn script_and_rust_share_a_database() {
    let directory = tempfile::tempdir().unwrap();
    // It takes a second unless it hangs.
    let timeout = Duration::from_secs(120);
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("game.js");
    let mut command = Command::new(env!("CARGO_BIN_EXE_host-web"));
    let output = command.arg(script).arg(directory.path()).timeout(timeout).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!((&*String::from_utf8_lossy(&output.stdout), &*stderr), (OUTPUT, ""));
    assert!(output.status.success());
    let left: Vec<_> = directory.path().read_dir().unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["game.db"]);
}
