//! The command line, and errors of scripts.

use crate::support::Sandbox;

/// Removes the URL of the test directory, which differs from run to run.
fn local(sandbox: &Sandbox, text: String) -> String {
    text.replace(&format!("file://{}", sandbox.path("").display()), "")
}

#[test]
fn runs_a_file_with_and_without_run() {
    let sandbox = Sandbox::new();
    sandbox.write("main.ts", "console.log(Deno.args, import.meta.main);");
    assert_eq!(sandbox.openkv(["run", "main.ts", "a", "--b"]).stdout(), "[ \"a\", \"--b\" ] true\n");
    assert_eq!(sandbox.openkv(["main.ts", "-A"]).stdout(), "[ \"-A\" ] true\n");
    assert_eq!(sandbox.openkv(["-A", "--unstable-kv", "./main.ts"]).stdout(), "[] true\n");
}

#[test]
fn basic_globals_work() {
    let script = r#"
        console.log(typeof crypto.randomUUID(), crypto.randomUUID().length);
        console.log(new TextDecoder().decode(new TextEncoder().encode("\u00e9")));
        console.log(structuredClone(new Map([[1, { a: [new Date(0)] }]])));
        console.log(performance.now() > 0, Deno.args, Deno.inspect({ a: "b" }));
        Deno.env.set("OPENKV_TEST", "x");
        console.log(Deno.env.get("OPENKV_TEST"), Deno.errors.NotFound.name, Deno.build.os === "linux");
        const order: string[] = [];
        const interval = setInterval(() => order.push("interval"), 100_000);
        await new Promise<void>((resolve) => setTimeout(() => { order.push("timeout"); resolve(); }, 1));
        clearInterval(interval);
        console.log(order, new URL("../b", "https://a.example/c/d").href, btoa("openkv"));
        Deno.exit(7);
    "#;
    let output = Sandbox::new().run(script);
    assert_eq!(output.code, Some(7), "{}", output.stderr);
    let expected = "string 36\n\u{e9}\nMap(1) { 1 => { a: [ 1970-01-01T00:00:00.000Z ] } }\ntrue [] { a: \"b\" }\n\
                    x NotFound true\n[ \"timeout\" ] https://a.example/b b3Blbmt2\n";
    assert_eq!(output.stdout, expected);
}

#[test]
fn imports_relative_modules_and_json() {
    let sandbox = Sandbox::new();
    sandbox.write("lib/a.ts", "import { b } from './b.js'; export const a: number = b + 1;");
    sandbox.write("lib/b.js", "export const b = 1;");
    sandbox.write("lib/data.json", "{ \"c\": [1, 2] }");
    let script = "import { a } from './lib/a.ts'; import data from './lib/data.json' with { type: 'json' };
        console.log(a, data.c);";
    assert_eq!(sandbox.run(script).stdout(), "2 [ 1, 2 ]\n");
}

#[test]
fn thrown_error_shows_source_location_and_causes() {
    let sandbox = Sandbox::new();
    let script = "interface Unused { gone: boolean }\n\
        \n\
        function inner(value: number): never {\n\
        \x20 throw new TypeError(`bad ${value}`, { cause: new Error(\"root\") });\n\
        }\n\
        inner(1);\n";
    let stderr = sandbox.run(script).stderr();
    let expected = "error: Uncaught (in promise) TypeError: bad 1
  throw new TypeError(`bad ${value}`, { cause: new Error(\"root\") });
        ^
    at inner (main.ts:4:9)
    at main.ts:6:1
Caused by: Error: root
    at inner (main.ts:4:48)
    at main.ts:6:1
";
    assert_eq!(local(&sandbox, stderr), expected);
}

#[test]
fn uncaught_error_terminates_the_script() {
    let sandbox = Sandbox::new();
    let stderr = sandbox.run("setTimeout(() => { throw new RangeError(\"late\"); }, 1);").stderr();
    assert!(stderr.starts_with("error: Uncaught RangeError: late\n"), "{stderr}");
    let stderr = sandbox.run("Promise.reject(new Error(\"unhandled\"));").stderr();
    assert!(stderr.starts_with("error: Uncaught (in promise) Error: unhandled\n"), "{stderr}");
    let stderr = sandbox.run("throw { a: 1 };").stderr();
    assert_eq!(stderr, "error: Uncaught (in promise) { a: 1 }\n");
    let stderr = sandbox.run("await new Promise(() => {});").stderr();
    assert!(stderr.starts_with("error: Top-level await promise never resolved\n"), "{stderr}");
}

#[test]
fn handled_rejection_does_not_terminate_the_script() {
    let script = "addEventListener('unhandledrejection', (e) => { e.preventDefault(); console.log(e.reason); });
        Promise.reject('handled');";
    assert_eq!(Sandbox::new().run(script).stdout(), "handled\n");
}

#[test]
fn invalid_module_is_one_error_message() {
    let sandbox = Sandbox::new();
    let message = |args: &[&str]| local(&sandbox, sandbox.openkv(args).stderr());
    assert_eq!(message(&["missing.ts"]), "error: Module not found \"missing.ts\".\n");

    sandbox.write("import.ts", "import './missing.ts';");
    assert_eq!(message(&["import.ts"]), "error: Module not found \"missing.ts\".\n    at import.ts:1:8\n");

    sandbox.write("syntax.ts", "let a b = 1;\n");
    let expected =
        "error: SyntaxError: Expected a semicolon\n  |\n1 | let a b = 1;\n  |       ~\n    at syntax.ts:1:7\n";
    assert_eq!(message(&["syntax.ts"]), expected);

    sandbox.write("syntax.js", "let a = ;\n");
    let expected = "error: SyntaxError: Expression expected\n  |\n1 | let a = ;\n  |         ~\n    at syntax.js:1:9\n";
    assert_eq!(message(&["syntax.js"]), expected);

    sandbox.write("directory/main.ts", "");
    let expected =
        "error: [ERR_UNSUPPORTED_DIR_IMPORT] Directory import 'directory' is not supported resolving ES modules\n";
    assert_eq!(message(&["directory"]), expected);

    sandbox.write("data.json", "{}");
    assert!(message(&["data.json"]).starts_with("error: Attempted to load JSON module without"));
    sandbox.write("remote.ts", "import 'https://example.com/a.ts';");
    let expected = "error: Requires import access to \"example.com:443\", run again with the --allow-import flag\n    at \
                    remote.ts:1:8\n";
    assert_eq!(message(&["remote.ts"]), expected);
}

#[test]
fn invalid_command_line_is_one_error_message() {
    let sandbox = Sandbox::new();
    sandbox.write("main.ts", "");
    for (args, message) in [
        (&["run", "--nope", "main.ts"][..], "error: unexpected argument '--nope' found"),
        (&["--location", "nowhere", "main.ts"], "error: invalid value 'nowhere' for '--location <URL>'"),
        (&["-A", "--allow-net", "main.ts"], "error: the argument '--allow-all' cannot be used with '--allow-net"),
        (&["run"], "error: the following required arguments were not provided"),
    ] {
        let output = sandbox.openkv(args);
        assert_eq!(output.code, Some(2), "{output:?}");
        assert!(output.stderr.starts_with(message), "{output:?}");
    }
}

#[test]
fn nothing_is_allowed_without_a_flag() {
    let sandbox = Sandbox::new();
    sandbox.write("env.ts", "console.log(Deno.env.get('DENO_DIR') !== undefined);");
    sandbox.write("kv.ts", "(await Deno.openKv('./kv.sqlite3')).close(); console.log('opened');");
    sandbox.write("default.ts", "const kv = await Deno.openKv(); await kv.set(['a'], 1); console.log('set');");
    sandbox.write("dynamic.ts", "const name = './default.ts'; await import(name);");

    let error = |args: &[&str]| {
        let stderr = sandbox.openkv(args).stderr();
        stderr.lines().next().unwrap().to_owned()
    };
    let requires = |what: &str| format!("error: Uncaught (in promise) NotCapable: Requires {what}");
    assert!(error(&["env.ts"]).starts_with(&requires("env access to \"DENO_DIR\"")));
    assert!(error(&["kv.ts"]).starts_with(&requires("read access to \"./kv.sqlite3\"")));
    assert!(error(&["--allow-read", "kv.ts"]).starts_with(&requires("write access to \"./kv.sqlite3\"")));
    assert!(error(&["-A", "--deny-write", "kv.ts"]).starts_with(&requires("write access to \"./kv.sqlite3\"")));
    assert!(error(&["--allow-read", "--allow-write", "--deny-write=kv.sqlite3", "kv.ts"]).contains("write access"));
    assert!(error(&["dynamic.ts"]).contains("Requires read access to "));

    assert_eq!(sandbox.openkv(["default.ts"]).stdout(), "set\n", "the default database needs no permission");
    assert_eq!(sandbox.openkv(["--allow-env=DENO_DIR", "env.ts"]).stdout(), "true\n");
    assert_eq!(sandbox.openkv(["-R=.", "-W=kv.sqlite3", "kv.ts"]).stdout(), "opened\n");
    assert_eq!(sandbox.openkv(["-R", "dynamic.ts"]).stdout(), "set\n");
}

#[test]
fn closed_database_is_a_single_file() {
    let sandbox = Sandbox::new();
    let script = "const kv = await Deno.openKv('kv.sqlite3'); await kv.set(['a'], 1); kv.close();";
    assert_eq!(sandbox.run(script).stdout(), "");
    assert!(sandbox.path("kv.sqlite3").exists());
    assert!(!sandbox.path("kv.sqlite3-wal").exists());
}

#[test]
fn decorators_use_symbol_metadata() {
    let script =
        "const { value, writable, configurable, enumerable } = Object.getOwnPropertyDescriptor(Symbol, 'metadata');
        console.log(value, Symbol.keyFor(value), writable, configurable, enumerable);
        let metadata: object;
        function mark(_: unknown, context: DecoratorContext) { metadata = context.metadata; }
        class A { @mark a() {} }
        console.log(A[Symbol.metadata] === metadata, typeof metadata);";
    let expected = "Symbol(Symbol.metadata) undefined false false false\ntrue object\n";
    assert_eq!(Sandbox::new().run(script).stdout(), expected);
}

#[test]
#[cfg(unix)]
fn signals_terminate_a_script_whose_parent_ignored_them() {
    use std::io::{BufRead, BufReader};
    use std::os::unix::process::ExitStatusExt;

    let sandbox = Sandbox::new();
    sandbox.write("main.ts", "console.log('runs'); setTimeout(() => {}, 1_000_000);");
    for (name, number) in [("INT", 2), ("TERM", 15)] {
        let mut command = std::process::Command::new("bash");
        let binary = env!("CARGO_BIN_EXE_openkv");
        command.args(["-c", &format!("trap '' {name}; exec '{binary}' main.ts")]).current_dir(sandbox.path(""));
        let mut process = crate::support::Running(command.stdout(std::process::Stdio::piped()).spawn().unwrap());
        let mut line = String::new();
        BufReader::new(process.0.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "runs\n");
        let killed = std::process::Command::new("kill").args([format!("-{name}"), process.0.id().to_string()]).status();
        assert!(killed.unwrap().success());
        assert_eq!(process.0.wait().unwrap().signal(), Some(number), "{name}");
    }
}
