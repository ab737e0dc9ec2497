//! The scripts of `tests/conformance`: what `Deno.Kv` promises, checked by scripts that run on Deno as well.

use crate::support::{Sandbox, repository};

/// Runs a script, and checks that each of its tests passed.
#[track_caller]
fn passes(name: &str) {
    let sandbox = Sandbox::new();
    let script = repository("tests/conformance").join(name);
    let output = sandbox.openkv(["-A", script.to_str().unwrap()]);
    assert_eq!(output.code, Some(0), "{}{}", output.stdout, output.stderr);
    // What handlers throw is told there.
    let told = ["Exception in queue handler ", "Error: thrown by a handler", "    at "];
    let told = |line: &str| told.iter().any(|start| line.starts_with(start));
    assert!(output.stderr.lines().all(told), "{}", output.stderr);
    let (tests, rest): (Vec<_>, Vec<_>) = output.stdout.lines().partition(|line| line.starts_with("ok "));
    assert!(!tests.is_empty() && rest.is_empty(), "{}", output.stdout);
}

macro_rules! conformance {
    ($($name:ident)*) => {
        $(
            #[test]
            fn $name() {
                passes(concat!(stringify!($name), ".ts"));
            }
        )*
    };
}

conformance!(additions atomic blobs closing entries errors expiry inspect keys limits list messages options order queue staging);
conformance!(names tampering values watch);
conformance!(crypto datagrams events fetch files net open_files process serve web websocket);
