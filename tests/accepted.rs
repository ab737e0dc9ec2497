//! What Deno accepts, on its command line and in its configuration file, is honoured, is accepted because it changes nothing
//! here, or is refused with a reason.

use crate::support::Sandbox;

/// How a flag or an entry is treated.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Treatment {
    /// It does what it does on Deno. Other tests show what.
    Honoured,
    /// What it is about is not here, so that nothing changes without it.
    Accepted,
    /// It would change what a script does, or what its user sees.
    Refused,
}

use Treatment::{Accepted, Honoured, Refused};

type Table<'a> = &'a [(&'a str, Treatment)];

/// The flags that `deno run --help=full` lists, the permissions among them, with a value where they need one.
const RUN: Table<'static> = &[
    ("--allow-all", Honoured),
    ("--allow-env", Honoured),
    ("--allow-ffi", Honoured),
    ("--allow-import", Honoured),
    ("--allow-net", Honoured),
    ("--allow-read", Honoured),
    ("--allow-run", Honoured),
    ("--allow-sys", Honoured),
    ("--allow-write", Honoured),
    ("--cached-only", Honoured),
    ("--cert=/dev/null", Honoured),
    ("--check", Refused),
    ("--check=all", Refused),
    ("--conditions=a", Refused),
    ("--config=config.json", Honoured),
    ("--coverage", Refused),
    ("--deny-env=NONE", Honoured),
    ("--deny-ffi", Honoured),
    ("--deny-import", Honoured),
    ("--deny-net", Honoured),
    ("--deny-read=none", Honoured),
    ("--deny-run", Honoured),
    ("--deny-sys", Honoured),
    ("--deny-write", Honoured),
    ("--env-file=.env", Honoured),
    ("--frozen", Honoured),
    ("--frozen-lockfile=false", Honoured),
    ("--ignore-env", Honoured),
    ("--ignore-read", Honoured),
    ("--import-map=config.json", Honoured),
    ("--inspect", Refused),
    ("--inspect-brk", Refused),
    ("--inspect-publish-uid=http", Refused),
    ("--inspect-wait", Refused),
    ("--location=https://example.com", Honoured),
    ("--lock=deno.lock", Honoured),
    ("--log-level=debug", Accepted),
    ("--min-dep-age=1", Refused),
    ("--no-check", Accepted),
    ("--no-config", Honoured),
    ("--no-lock", Honoured),
    ("--no-npm", Accepted),
    ("--no-prompt", Honoured),
    ("--no-remote", Honoured),
    ("--node-modules-dir", Accepted),
    ("--node-modules-linker=hoisted", Accepted),
    ("--permission-set", Refused),
    ("--preload=main.ts", Refused),
    ("--quiet", Honoured),
    ("--reload", Honoured),
    ("--require=main.ts", Refused),
    ("--seed=1", Honoured),
    ("--unsafely-ignore-certificate-errors", Honoured),
    ("--unstable", Accepted),
    ("--unstable-bare-node-builtins", Accepted),
    ("--unstable-broadcast-channel", Accepted),
    ("--unstable-bundle", Refused),
    ("--unstable-byonm", Accepted),
    ("--unstable-cron", Refused),
    ("--unstable-detect-cjs", Accepted),
    ("--unstable-ffi", Refused),
    ("--unstable-fs", Accepted),
    ("--unstable-http", Accepted),
    ("--unstable-kv", Accepted),
    ("--unstable-lazy-dynamic-imports", Accepted),
    ("--unstable-lockfile-v5", Accepted),
    ("--unstable-net", Accepted),
    ("--unstable-no-legacy-abort", Honoured),
    ("--unstable-node-globals", Accepted),
    ("--unstable-npm-lazy-caching", Accepted),
    ("--unstable-otel", Refused),
    ("--unstable-process", Accepted),
    ("--unstable-raw-imports", Accepted),
    ("--unstable-sloppy-imports", Refused),
    ("--unstable-subdomain-wildcards", Accepted),
    ("--unstable-temporal", Accepted),
    ("--unstable-tsgo", Accepted),
    ("--unstable-unsafe-proto", Honoured),
    ("--unstable-vsock", Accepted),
    ("--unstable-webgpu", Refused),
    ("--unstable-worker-options", Refused),
    ("--v8-flags=--no-opt", Honoured),
    ("--vendor", Refused),
];

/// What `deno run` and `deno test` have, and `deno eval` has not.
const WATCHED: Table<'static> = &[
    ("--allow-scripts", Accepted),
    ("--ext=ts", Honoured),
    ("--no-clear-screen", Accepted),
    ("--watch", Refused),
    ("--watch-exclude=none", Refused),
];

const RUN_ONLY: Table<'static> = &[("--hmr", Refused), ("--no-code-cache", Accepted), ("--use-env-proxy", Accepted)];

const TEST_ONLY: Table<'static> = &[
    ("--changed", Refused),
    ("--clean", Refused),
    ("--coverage-raw-data-only", Refused),
    ("--coverage-threshold=1", Refused),
    ("--doc", Refused),
    ("--fail-fast", Honoured),
    ("--filter=a", Honoured),
    ("--hide-stacktraces", Refused),
    ("--ignore=none", Honoured),
    ("--junit-path=a", Refused),
    ("--no-run", Honoured),
    ("--parallel", Accepted),
    ("--permit-no-files", Honoured),
    ("--related=main.ts", Refused),
    ("--repeats=1", Honoured),
    ("--reporter=dot", Honoured),
    ("--retry=1", Honoured),
    ("--sanitize-ops", Honoured),
    ("--sanitize-resources", Honoured),
    ("--shard=1/1", Refused),
    ("--shuffle", Honoured),
    ("--update-snapshots", Refused),
];

#[test]
fn every_flag_of_deno_is_honoured_or_accepted_or_refused() {
    let sandbox = Sandbox::new();
    for file in [".env", "main.ts"] {
        sandbox.write(file, "");
    }
    sandbox.write("config.json", "{}");
    let repl = [("--eval=1", Honoured), ("--eval-file=main.ts", Honoured), ("--json", Refused)];
    let eval = [("--print", Honoured), ("--ext=ts", Honoured)];
    let tables: [(&str, &[Table]); 4] = [
        ("run", &[RUN, WATCHED, RUN_ONLY]),
        ("test", &[RUN, WATCHED, TEST_ONLY]),
        ("eval", &[RUN, &eval]),
        ("repl", &[RUN, &repl]),
    ];
    for (command, flags) in tables {
        for (flag, treatment) in flags.concat() {
            let mut args = vec![command, flag];
            match command {
                "eval" => args.push("0"),
                "repl" => {}
                _ => args.push("main.ts"),
            }
            let output = sandbox.openkv(&args);
            if treatment == Refused {
                let name = flag.split('=').next().unwrap();
                let message = format!("error: '{name}' is not supported: ");
                assert_eq!((output.code, output.stdout.as_str()), (Some(2), ""), "{args:?}");
                assert!(output.stderr.starts_with(&message), "{args:?}: {output:?}");
            } else {
                assert_eq!(output.code, Some(0), "{args:?}: {output:?}");
            }
        }
    }
}

#[test]
fn every_entry_of_a_configuration_file_is_honoured_or_accepted_or_refused() {
    let sandbox = Sandbox::new();
    sandbox.write("main.ts", "console.log('runs');");
    sandbox.write("a/deno.json", "{}");
    for (entry, treatment) in [
        (r#""allowScripts": ["npm:a"]"#, Accepted),
        (r#""bench": { "include": ["a"] }"#, Accepted),
        (r#""catalog": { "a": "npm:a" }"#, Accepted),
        (r#""catalogs": { "a": { "b": "npm:b" } }"#, Accepted),
        (r#""compile": { "include": ["a"] }"#, Accepted),
        (r#""compilerOptions": { "experimentalDecorators": true, "emitDecoratorMetadata": true }"#, Honoured),
        (r#""compilerOptions": { "jsx": "react-jsx", "jsxImportSource": "a" }"#, Honoured),
        (r#""compilerOptions": { "strict": true, "lib": ["deno.ns"], "types": ["a"] }"#, Accepted),
        (r#""compilerOptions": { "verbatimModuleSyntax": true }"#, Honoured),
        (r#""coverage": {}"#, Accepted),
        (r#""deploy": { "org": "a", "app": "b" }"#, Accepted),
        (r#""desktop": {}"#, Accepted),
        (r#""exclude": ["a"]"#, Honoured),
        (r#""exports": "./main.ts""#, Accepted),
        (r#""fmt": { "lineWidth": 120 }"#, Accepted),
        (r#""imports": { "a": "./main.ts" }"#, Honoured),
        (r#""jsrDepsInNodeModules": true"#, Accepted),
        (r#""license": "MIT""#, Accepted),
        (r#""links": []"#, Accepted),
        (r#""links": ["./a"]"#, Refused),
        (r#""lint": { "rules": { "tags": ["recommended"] } }"#, Accepted),
        (r#""lock": { "frozen": true, "path": "a.lock" }"#, Honoured),
        (r#""lock": false"#, Honoured),
        (r#""minimumDependencyAge": "P1D""#, Refused),
        (r#""name": "@a/b", "version": "1.0.0""#, Accepted),
        (r#""nodeModulesDir": "auto", "nodeModulesLinker": "hoisted""#, Accepted),
        (r#""permissions": { "default": { "read": true } }"#, Accepted),
        (r#""preferPackageJson": true"#, Accepted),
        (r#""publish": { "include": ["a"] }"#, Accepted),
        (r#""scopes": { "./a/": { "b": "./main.ts" } }"#, Honoured),
        (r#""tasks": { "a": "deno run main.ts" }"#, Accepted),
        (r#""test": { "include": ["a"], "sanitizeOps": true, "sanitizeResources": true }"#, Honoured),
        (r#""unstable": ["kv", "unsafe-proto", "no-legacy-abort"]"#, Honoured),
        (r#""unstable": ["sloppy-imports"]"#, Refused),
        (r#""unstable": ["bare-node-builtins"]"#, Accepted),
        (r#""vendor": false"#, Accepted),
        (r#""vendor": true"#, Refused),
        (r#""workspace": ["./a"]"#, Honoured),
    ] {
        sandbox.write("deno.json", format!("{{ {entry} }}"));
        let output = sandbox.openkv(["run", "main.ts"]);
        if treatment == Refused {
            let stderr = output.stderr();
            let name = entry.split('"').nth(1).unwrap();
            assert!(stderr.starts_with(&format!("error: the entry \"{name}")), "{stderr}");
            assert!(stderr.contains(" is not supported: "), "{stderr}");
            assert_eq!(sandbox.openkv(["run", "--no-config", "main.ts"]).stdout(), "runs\n");
        } else {
            assert_eq!(output.stdout(), "runs\n", "{entry}");
        }
    }

    sandbox.write("deno.json", r#"{ "unstable": ["nothing"] }"#);
    let output = sandbox.openkv(["run", "main.ts"]);
    assert_eq!((output.code, output.stdout.as_str()), (Some(0), "runs\n"));
    assert!(output.stderr.starts_with("Warning 'nothing' in file://"), "{output:?}");
    assert_eq!(sandbox.openkv(["run", "-q", "main.ts"]).stdout(), "runs\n");
}

#[test]
fn unsafe_proto_keeps_the_accessor() {
    let sandbox = Sandbox::new();
    sandbox.write("main.ts", "console.log(({}).__proto__ === Object.prototype);");
    assert_eq!(sandbox.openkv(["main.ts"]).stdout(), "false\n");
    assert_eq!(sandbox.openkv(["--unstable-unsafe-proto", "main.ts"]).stdout(), "true\n");
    sandbox.write("deno.json", r#"{ "unstable": ["unsafe-proto"] }"#);
    assert_eq!(sandbox.openkv(["main.ts"]).stdout(), "true\n");
}

#[test]
fn no_legacy_abort_leaves_the_signal_of_an_answered_request() {
    let sandbox = Sandbox::new();
    let script = "let signal: AbortSignal;
        const server = Deno.serve({ port: 0, hostname: '127.0.0.1', onListen() {} }, (request) => {
            signal = request.signal;
            return new Response('done');
        });
        await (await fetch(`http://127.0.0.1:${server.addr.port}/`)).text();
        await server.shutdown();
        console.log(signal!.aborted);";
    sandbox.write("main.ts", script);
    // Deno's library warns of it, too.
    let output = sandbox.openkv(["-N", "main.ts"]);
    assert_eq!((output.code, output.stdout.as_str()), (Some(0), "true\n"), "{output:?}");
    assert_eq!(sandbox.openkv(["-N", "--unstable-no-legacy-abort", "main.ts"]).stdout(), "false\n");
}

#[test]
fn compiler_options_change_what_decorators_become() {
    let sandbox = Sandbox::new();
    let script =
        "(Reflect as any).metadata = (key: string, type: any) => { console.log(key, type.name); return () => {}; };
        function show(first: any, second: any) { console.log(typeof first, typeof second); }
        class A { @show a: string = ''; }";
    sandbox.write("main.ts", script);
    let run = |options: &str| {
        sandbox.write("deno.json", format!(r#"{{ "compilerOptions": {{ {options} }} }}"#));
        sandbox.openkv(["main.ts"]).stdout()
    };
    assert_eq!(run(""), "undefined object\n");
    assert_eq!(run(r#""emitDecoratorMetadata": true"#), "undefined object\n");
    assert_eq!(run(r#""experimentalDecorators": true"#), "object string\n");
    assert_eq!(
        run(r#""experimentalDecorators": true, "emitDecoratorMetadata": true"#),
        "design:type String\nobject string\n"
    );

    // The REPL goes by it, too.
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
fn a_configuration_file_says_which_modules_are_tested() {
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
    assert_eq!(tests(include, "b[1]", &[]), [a], "paths start from the file that they stand in");
    assert_eq!(tests(include, "", &["b[1]"]), [b], "the command line has the last word");
    assert_eq!(tests(r#"{ "test": { "include": ["*/plain.ts"] } }"#, "", &[]), ["a/plain.ts", "b[1]/plain.ts"]);
    assert_eq!(tests("{}", "b[1]", &["*.ts"]), [b, "b[1]/plain.ts"]);
    assert_eq!(tests(r#"{ "test": { "include": [] } }"#, "", &[]), [""; 0]);
    assert_eq!(tests(r#"{ "test": { "exclude": ["a"] } }"#, "", &[]), [b]);
    assert_eq!(tests(r#"{ "test": { "exclude": ["a"] } }"#, "", &["a/a_test.ts", "b[1]"]), [b]);
    assert_eq!(tests(r#"{ "exclude": ["a", "b[1]"], "test": { "exclude": ["!a"] } }"#, "", &[]), [a]);
    assert_eq!(tests(r#"{ "exclude": ["**/b_*"] }"#, "", &[]), [a]);

    sandbox.write("deno.json", r#"{ "test": { "includes": ["a"] } }"#);
    let stderr = sandbox.openkv(["test"]).stderr();
    assert!(stderr.starts_with("error: the entry \"test\" of file://") && stderr.contains("includes"), "{stderr}");
}

#[test]
fn a_configuration_file_sanitizes_tests_and_names_no_permissions_for_them() {
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
    assert!(passes(config, "file_test.ts"), "the command line says what tests may do");
    let stderr = sandbox.openkv(["test", "timer_test.ts"]).stderr();
    assert!(stderr.contains("deno.json has permissions for tests, which are not supported"), "{stderr}");
}

#[test]
fn a_frozen_lock_file_of_the_configuration_stays() {
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
    assert!(stderr.contains("deno.lock\" lacks modules") && stderr.contains("--frozen=false"), "{stderr}");
    assert!(!sandbox.path("deno.lock").exists());
    assert_eq!(run(&["--frozen=false"]).stdout(), "runs\n");
    assert_eq!(run(&[]).stdout(), "runs\n");
}

#[test]
fn commands_of_deno_say_that_they_are_not_here() {
    let sandbox = Sandbox::new();
    sandbox.write("fmt", "console.log('runs');");
    let commands = "add approve-scripts audit bench bump-version bundle cache check ci clean compile coverage create deploy \
        desktop doc fmt i info init install jupyter link lint list lsp outdated pack publish remove rm sandbox serve task \
        transpile uninstall unlink update upgrade vendor watch why x";
    for command in commands.split_whitespace() {
        for args in [&[command][..], &[command, "main.ts"], &["-q", command], &["-A", command]] {
            let output = sandbox.openkv(args);
            assert_eq!((output.code, output.stdout.as_str()), (Some(2), ""), "{args:?}");
            let message = format!("error: the command '{command}' is not supported: ");
            assert!(output.stderr.starts_with(&message), "{args:?}: {output:?}");
        }
    }
    assert_eq!(sandbox.openkv(["./fmt"]).stdout(), "runs\n");
    assert_eq!(sandbox.openkv(["run", "fmt"]).stdout(), "runs\n");
    let stderr = sandbox.openkv(["nothing"]).stderr();
    assert!(stderr.starts_with("error: Module not found \""), "{stderr}");
}

#[test]
fn flags_of_all_commands_may_stand_before_one() {
    let sandbox = Sandbox::new();
    sandbox.write("main.ts", "console.log(Deno.args);");
    sandbox.write("fmt", "{}");
    for args in [
        &["-q", "run", "main.ts"][..],
        &["--log-level", "debug", "run", "main.ts"],
        &["-Ldebug", "--quiet", "run", "main.ts"],
        &["--config", "fmt", "main.ts"],
        &["-qc", "fmt", "main.ts"],
    ] {
        assert_eq!(sandbox.openkv(args).stdout(), "[]\n", "{args:?}");
    }
    let output = sandbox.openkv(["-A", "run", "main.ts"]);
    assert_eq!((output.code, output.stdout.as_str()), (Some(2), ""));
    assert!(output.stderr.starts_with("error: unexpected argument '-A' found: "), "{output:?}");
    assert_eq!(sandbox.openkv(["-v"]).stdout(), sandbox.openkv(["-V"]).stdout());
    assert_eq!(sandbox.openkv(["-v", "main.ts"]).stdout(), sandbox.openkv(["-V"]).stdout());
}

#[test]
fn a_distributed_database_can_be_required() {
    let sandbox = Sandbox::new();
    let script = "Deno.env.delete('DENO_KV_REQUIRES_DISTRIBUTED_DATABASE');
        for (const path of [undefined, ':memory:', 'a.sqlite3']) {
            try { (await Deno.openKv(path)).close(); console.log('opened'); }
            catch (error) { console.log(error.name, error.message.slice(0, 21)); }
        }";
    sandbox.write("main.ts", script);
    let run = |requirement: &str| {
        let mut command = sandbox.command(["-A", "main.ts"]);
        let output = command.env("DENO_KV_REQUIRES_DISTRIBUTED_DATABASE", requirement).output().unwrap();
        (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap().lines().count())
    };
    let opened = "opened\n".repeat(3);
    assert_eq!(run("error"), ("TypeError Deno.openKv() failed:\n".repeat(3), 0));
    assert!(!sandbox.path("a.sqlite3").exists() && !sandbox.path("deno_dir/location_data").exists());
    assert_eq!(run("warn"), (opened.clone(), 3));
    assert_eq!(run("1"), (opened.clone(), 0));
    assert_eq!(run(""), (opened, 0));
}
