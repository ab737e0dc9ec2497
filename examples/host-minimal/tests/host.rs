//! Tests that the host runs its script, and depends only on the crates that a bare host needs.

use std::path::Path;
use std::time::Duration;

use assert_cmd::Command;

const OUTPUT: &str = r#"stock: 10
customer: alice Alice
customer: bob Bob
ordered: true
message: confirmed
NotCapable: this host does not allow scripts to open the database "other.sqlite3"
NotSupported: watch requires ReadableStream, which this host does not provide: add the extension deno_web
rust: stock Some(U64(7))
rust: message thanks
"#;

#[test]
fn script_and_rust_share_a_database() {
    let directory = tempfile::tempdir().unwrap();
    // It takes a second unless it hangs.
    let timeout = Duration::from_secs(120);
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("order.js");
    let mut command = Command::new(env!("CARGO_BIN_EXE_host-minimal"));
    let output = command.arg(script).arg(directory.path().join("db")).timeout(timeout).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!((&*String::from_utf8_lossy(&output.stdout), &*stderr), (OUTPUT, ""));
    assert!(output.status.success());
    let left: Vec<_> = directory.path().read_dir().unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["db"]);
}

#[test]
fn bare_host_depends_on_no_web_crate() {
    let mut command = Command::new(env!("CARGO"));
    command.args(["tree", "--offline", "--locked", "--package", "host-minimal", "--prefix", "none"]);
    let output = command.args(["--edges", "normal,build"]).current_dir(env!("CARGO_MANIFEST_DIR")).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let tree = String::from_utf8(output.stdout).unwrap();
    assert!(tree.contains("openkv_ext "), "{tree}");
    let names = tree.lines().filter_map(|line| line.split(' ').next());
    let web: Vec<_> = names
        .filter(|name| {
            [
                "deno_fetch",
                "deno_net",
                "deno_permissions",
                "deno_web",
                "deno_webidl",
                "http",
                "hyper",
                "reqwest",
                "rustls",
            ]
            .contains(name)
        })
        .collect();
    assert!(web.is_empty(), "{web:?}");
}
