//! Sets of permissions in `deno.json`, which `--permission-set` grants.

use crate::support::{Output, Sandbox};

/// Prints the permissions that are not the default, in a fixed order.
const SCRIPT: &str = r#"
    const of = (permission: Deno.PermissionDescriptor) => Deno.permissions.querySync(permission).state;
    const names = ["read", "write", "env", "net", "sys", "run", "ffi", "import"] as const;
    const shown = names.map((name) => `${name} ${of({ name })}`).filter((text) => !text.endsWith("prompt"));
    console.log(...shown, "|", of({ name: "env", variable: "HOME" }),
        ...["sub", "sub/no", "other"].map((path) => of({ name: "read", path })));
"#;

const CONFIG: &str = r#"{
    "permissions": {
        "default": { "read": true, "env": ["HOME"] },
        "all": { "all": true },
        "mixed": { "read": { "allow": ["./sub"], "deny": ["./sub/no"], "ignore": ["./other"] }, "net": false, "sys": true },
        "empty": { "read": [], "all": true, "write": { "deny": true } }
    }
}"#;

fn run(sandbox: &Sandbox, args: &[&str]) -> Output {
    sandbox.openkv([&["run", "--no-prompt"], args, &["main.ts"]].concat())
}

#[test]
fn permission_sets_are_granted_as_in_deno() {
    let sandbox = Sandbox::new();
    sandbox.write("main.ts", SCRIPT);
    sandbox.write("deno.json", CONFIG);
    for (flags, expected) in [
        ("", "| prompt prompt prompt prompt"),
        ("-P", "read granted | granted granted granted granted"),
        ("--permission-set", "read granted | granted granted granted granted"),
        ("-P=mixed", "sys granted | prompt granted denied denied"),
        (
            "-P=all",
            "read granted write granted env granted net granted sys granted run granted ffi granted import granted | granted granted granted granted",
        ),
        (
            "-P=empty",
            "write denied env granted net granted sys granted run granted ffi granted import granted | granted prompt prompt prompt",
        ),
        // A flag replaces the list in the set.
        ("-P -W", "read granted write granted | granted granted granted granted"),
        ("-P --allow-read=sub", "| granted granted granted prompt"),
        ("-P=mixed --allow-env=OTHER", "sys granted | prompt granted denied denied"),
        ("-P --deny-read", "read denied | granted denied denied denied"),
        (
            "-P=all --deny-net",
            "read granted write granted env granted net denied sys granted run granted ffi granted import granted | granted granted granted granted",
        ),
        (
            "-A -P=mixed",
            "read granted write granted env granted net granted sys granted run granted ffi granted import granted | granted granted granted granted",
        ),
    ] {
        let flags: Vec<_> = flags.split_whitespace().collect();
        assert_eq!(run(&sandbox, &flags).stdout().trim_end(), expected.trim_start(), "{flags:?}");
    }
    let error = run(&sandbox, &["-P=none"]).stderr();
    assert!(error.starts_with("error: Could not find permission set 'none' in deno.json"), "{error}");
    // A default set may be missing.
    assert!(run(&sandbox, &["--no-config", "-P"]).stdout().starts_with("| prompt"));
    assert_eq!(run(&sandbox, &["--no-config", "-P=mixed"]).code, Some(1));
}

/// The paths are relative to the configuration file, and members of a workspace replace sets of its root.
#[test]
fn permission_sets_belong_to_their_configuration_file() {
    let sandbox = Sandbox::new();
    sandbox.write(
        "deno.json",
        r#"{ "workspace": ["member"], "permissions": { "a": { "read": ["."] }, "b": { "net": true } } }"#,
    );
    sandbox.write("member/deno.json", r#"{ "permissions": { "b": { "read": ["sub"] } } }"#);
    sandbox.write("member/main.ts", SCRIPT);
    let run = |flag: &str| {
        let mut command = sandbox.command(["run", "--no-prompt", flag, "main.ts"]);
        command.current_dir(sandbox.path("member"));
        Output::of(command, "").stdout()
    };
    assert_eq!(run("-P=a"), "| prompt granted granted granted\n");
    assert_eq!(run("-P=b"), "| prompt granted granted prompt\n");
}

#[test]
fn invalid_permission_sets_are_errors() {
    let sandbox = Sandbox::new();
    sandbox.write("main.ts", SCRIPT);
    sandbox.write("deno.json", r#"{ "permissions": { "default": { "files": true } } }"#);
    let error = run(&sandbox, &["-P"]).stderr();
    assert!(error.contains("\"permissions\"") && error.contains("unknown field `files`"), "{error}");
    assert!(run(&sandbox, &[]).stdout().starts_with("| prompt"), "sets that are not granted are not read");
}

#[test]
fn tests_are_granted_their_permissions() {
    let sandbox = Sandbox::new();
    let test = "Deno.test('a', () => { for (const name of ['read', 'net'] as const) console.log(name, Deno.permissions.querySync({ name }).state); });";
    sandbox.write("a_test.ts", test);
    let run = |config: &str, flags: &[&str]| {
        sandbox.write("deno.json", config);
        sandbox.openkv([&["test", "--no-prompt"], flags].concat())
    };
    let own = r#"{ "test": { "permissions": { "read": true } }, "permissions": { "default": { "net": true } } }"#;
    let named = r#"{ "test": { "permissions": "t" }, "permissions": { "t": { "net": true } } }"#;
    let none = r#"{ "permissions": { "default": { "net": true } } }"#;
    for (config, flags, read, net) in [
        (own, &["-P"][..], "granted", "prompt"),
        (own, &["-P=default"], "prompt", "granted"),
        (own, &["-N"], "prompt", "granted"),
        (named, &["-P"], "prompt", "granted"),
        (named, &["-P=t"], "prompt", "granted"),
        (none, &["-P"], "prompt", "granted"),
        (none, &[], "prompt", "prompt"),
    ] {
        let output = run(config, flags);
        assert_eq!(output.code, Some(0), "{config} {flags:?}: {output:?}");
        let expected = format!("read {read}\nnet {net}\n");
        assert!(output.stdout.contains(&expected), "{config} {flags:?}: {}", output.stdout);
    }
    for config in [own, named] {
        let error = run(config, &[]).stderr();
        assert!(error.starts_with("error: the permissions for tests in file://") && error.contains("-P"), "{error}");
    }
    let error = run(r#"{ "test": { "permissions": "missing" } }"#, &["-P"]).stderr();
    assert!(error.contains("Could not find permission set 'missing'"), "{error}");
}
