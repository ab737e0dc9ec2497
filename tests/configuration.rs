//! Entries of the configuration file that select what a command does: modules of tests, compiler options, the lock file.

use crate::support::Sandbox;

/// The warning of Deno and OpenKV.
pub const DEPRECATED_DECORATORS: &str =
    "Warning experimentalDecorators compiler option is deprecated and may be removed at any time\n";

#[test]
fn compiler_options_select_the_kind_of_decorators() {
    let sandbox = Sandbox::new();
    let script =
        "(Reflect as any).metadata = (key: string, type: any) => { console.log(key, type.name); return () => {}; };
        function show(first: any, second: any) { console.log(typeof first, typeof second); }
        class A { @show a: string = ''; }";
    sandbox.write("main.ts", script);
    let run = |options: &str| {
        sandbox.write("deno.json", format!(r#"{{ "compilerOptions": {{ {options} }} }}"#));
        let output = sandbox.openkv(["main.ts"]);
        let warning = if options.contains("experimental") { DEPRECATED_DECORATORS } else { "" };
        assert_eq!((output.code, output.stderr.as_str()), (Some(0), warning));
        output.stdout
    };
    assert_eq!(run(""), "undefined object\n");
    assert_eq!(run(r#""emitDecoratorMetadata": true"#), "undefined object\n");
    assert_eq!(run(r#""experimentalDecorators": true"#), "object string\n");
    assert_eq!(
        run(r#""experimentalDecorators": true, "emitDecoratorMetadata": true"#),
        "design:type String\nobject string\n"
    );

    // The REPL uses the options as well.
    let input = "(function () { function show(_: any, second: any) { console.log(typeof second); } class A { @show a() {} } })()";
    let output = sandbox.openkv_reading(input, ["repl", "-q"]).stdout();
    assert!(output.starts_with("string\n"), "{output}");
}

#[test]
fn verbatim_module_syntax_keeps_imports_of_types() {
    let sandbox = Sandbox::new();
    sandbox.write("a.ts", "console.log('imported'); export class A {}");
    sandbox.write("main.ts", "import { A } from './a.ts'; let a: A; console.log('runs');");
    assert_eq!(sandbox.openkv(["main.ts"]).stdout(), "runs\n");
    sandbox.write("deno.json", r#"{ "compilerOptions": { "verbatimModuleSyntax": true } }"#);
    assert_eq!(sandbox.openkv(["main.ts"]).stdout(), "imported\nruns\n");
}

#[test]
fn configuration_selects_test_modules() {
    let sandbox = Sandbox::new();
    for file in ["a/a_test.ts", "a/plain.ts", "b[1]/b_test.ts", "b[1]/plain.ts"] {
        sandbox.write(file, format!("Deno.test('in {file}', () => {{}});"));
    }
    let tests = |config: &str, directory: &str, paths: &[&str]| {
        sandbox.write("deno.json", config);
        let mut command = sandbox.command(["test"].iter().chain(paths));
        let output = command.current_dir(sandbox.path(directory)).output().unwrap();
        let stdout = String::from_utf8(output.stdout).unwrap();
        let names = stdout.lines().filter_map(|line| line.strip_prefix("in ")?.split(' ').next().map(String::from));
        names.collect::<Vec<_>>()
    };
    let (a, b) = ("a/a_test.ts", "b[1]/b_test.ts");
    assert_eq!(tests("{}", "", &[]), [a, b]);
    let include = r#"{ "test": { "include": ["a"] } }"#;
    assert_eq!(tests(include, "", &[]), [a]);
    assert_eq!(tests(include, "b[1]", &[]), [a], "paths are relative to the configuration file");
    assert_eq!(tests(include, "", &["b[1]"]), [b], "the command line takes precedence");
    assert_eq!(tests(r#"{ "test": { "include": ["*/plain.ts"] } }"#, "", &[]), ["a/plain.ts", "b[1]/plain.ts"]);
    assert_eq!(tests("{}", "b[1]", &["*.ts"]), [b, "b[1]/plain.ts"]);
    assert_eq!(tests(r#"{ "test": { "include": [] } }"#, "", &[]), [""; 0]);
    assert_eq!(tests(r#"{ "test": { "exclude": ["a"] } }"#, "", &[]), [b]);
    assert_eq!(tests(r#"{ "test": { "exclude": ["a"] } }"#, "", &["a/a_test.ts", "b[1]"]), [b]);
    assert_eq!(tests(r#"{ "exclude": ["a", "b[1]"], "test": { "exclude": ["!a"] } }"#, "", &[]), [a]);
    assert_eq!(tests(r#"{ "exclude": ["**/b_*"] }"#, "", &[]), [a]);

    sandbox.write("deno.json", r#"{ "test": { "includes": ["a"] } }"#);
    let stderr = sandbox.openkv(["test"]).stderr();
    assert!(stderr.starts_with("error: invalid entry \"test\" in file://") && stderr.contains("includes"), "{stderr}");
}

#[test]
fn configuration_enables_sanitizers_but_not_permissions() {
    let sandbox = Sandbox::new();
    sandbox.write("file_test.ts", "Deno.test('leaves a file', async () => { await Deno.open('/dev/null'); });");
    sandbox.write("timer_test.ts", "Deno.test('leaves a timer', () => { setTimeout(() => {}, 100_000); });");
    let passes = |config: &str, file: &str| {
        sandbox.write("deno.json", config);
        sandbox.openkv(["test", "-A", file]).code == Some(0)
    };
    for (file, entry) in [("file_test.ts", "sanitizeResources"), ("timer_test.ts", "sanitizeOps")] {
        assert!(passes("{}", file));
        assert!(passes(&format!(r#"{{ "test": {{ "{entry}": false }} }}"#), file));
        assert!(!passes(&format!(r#"{{ "test": {{ "{entry}": true }} }}"#), file), "{entry}");
    }

    let config = r#"{ "test": { "permissions": { "read": true } } }"#;
    assert!(passes(config, "file_test.ts"), "the command line sets the permissions of tests");
    let stderr = sandbox.openkv(["test", "timer_test.ts"]).stderr();
    assert!(stderr.contains("deno.json are not granted: run with -P"), "{stderr}");
}

#[test]
fn frozen_lockfile_of_the_configuration_is_not_changed() {
    let sandbox = Sandbox::new();
    let server =
        "const server = Deno.serve({ port: 0, hostname: '127.0.0.1', onListen: ({ port }) => console.log(port) },
        () => new Response('export {};', { headers: { 'content-type': 'text/javascript' } }));";
    sandbox.write("server.ts", server);
    let mut server = sandbox.command(["run", "-A", "--no-config", "server.ts"]);
    let mut server = crate::support::Running(server.stdout(std::process::Stdio::piped()).spawn().unwrap());
    let mut port = String::new();
    let mut stdout = std::io::BufReader::new(server.0.stdout.take().unwrap());
    std::io::BufRead::read_line(&mut stdout, &mut port).unwrap();
    sandbox.write("deno.json", r#"{ "lock": { "frozen": true } }"#);
    sandbox.write("main.ts", format!("import 'http://127.0.0.1:{}/a.js'; console.log('runs');", port.trim()));

    let run = |flags: &[&str]| sandbox.openkv(["run", "-A", "-q"].iter().chain(flags).chain(&["main.ts"]));
    let stderr = run(&[]).stderr();
    assert!(stderr.contains("deno.lock\" is out of date") && stderr.contains("--frozen=false"), "{stderr}");
    assert!(!sandbox.path("deno.lock").exists());
    assert_eq!(run(&["--frozen=false"]).stdout(), "runs\n");
    assert_eq!(run(&[]).stdout(), "runs\n");
}
