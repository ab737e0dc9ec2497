//! Debuggers, which attach with `--inspect` and its variants.

use std::net::TcpListener;

use crate::support::{Output, Sandbox, repository};

const EXPECTED: &str = "\
first statement: true
breakpoints: 1
console: [ \"seen\", 1 ]
breakpoint: 1 2 1
exit code: 0 \"seen 1\\n2\\n\"
exit code: 3 \"ran\\n\"
targets: [ true ]
script: of the script
worker: of the worker
exit code: 4
opened: true
exit code: 0
";

#[test]
fn debuggers_evaluate_pause_and_see_workers() {
    let sandbox = Sandbox::new();
    let client = repository("tests/inspector/client.ts").display().to_string();
    let mut command = sandbox.command(["run", "-A", &client, env!("CARGO_BIN_EXE_openkv")]);
    command.env("NO_PROXY", "127.0.0.1");
    assert_eq!(Output::of(command, "").stdout(), EXPECTED);
}

#[test]
fn address_of_the_debugger_must_be_free_and_valid() {
    let sandbox = Sandbox::new();
    sandbox.write("main.ts", "console.log('runs');");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let error = sandbox.openkv(["run", &format!("--inspect={address}"), "main.ts"]).stderr();
    let expected = format!("error: failed to start the server for debuggers at {address}: ");
    assert!(error.starts_with(&expected), "{error}");
    let output = sandbox.openkv(["run", "--inspect=example.com", "main.ts"]);
    assert_eq!((output.code, output.stdout.as_str()), (Some(2), ""));
    assert!(output.stderr.contains("it must be an IP address, a port, or both"), "{output:?}");
    assert_eq!(sandbox.openkv(["run", "--inspect", "--inspect-brk", "main.ts"]).code, Some(2));

    // With --quiet, or published elsewhere, the URL is not printed.
    for flag in ["--quiet", "--inspect-publish-uid=http"] {
        assert_eq!(sandbox.openkv(["run", flag, "--inspect=:0", "main.ts"]).stdout(), "runs\n");
    }
    let output = sandbox.openkv(["run", "--inspect=0", "main.ts"]);
    assert_eq!((output.code, output.stdout.as_str()), (Some(0), "runs\n"));
    assert!(output.stderr.starts_with("Debugger listening on ws://127.0.0.1:"), "{output:?}");
}
