//! The flags and configuration entries of Deno: each is supported, accepted without an effect, or rejected with a reason.

use crate::configuration::DEPRECATED_DECORATORS;
use crate::support::Sandbox;

/// How a flag or an entry is treated.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Treatment {
    /// It has the same effect as in Deno, which other tests cover.
    Supported,
    /// It has no effect, because OpenKV lacks the feature that it configures.
    Ignored,
    /// It is an error, because ignoring it would change the behaviour of a script.
    Rejected,
}

use Treatment::{Ignored, Rejected, Supported};

type Table<'a> = &'a [(&'a str, Treatment)];

/// The flags of `deno run --help=full`, including permissions, with a value if they require one.
const RUN: Table<'static> = &[
    ("--allow-all", Supported),
    ("--allow-env", Supported),
    ("--allow-ffi", Supported),
    ("--allow-import", Supported),
    ("--allow-net", Supported),
    ("--allow-read", Supported),
    ("--allow-run", Supported),
    ("--allow-sys", Supported),
    ("--allow-write", Supported),
    ("--cached-only", Supported),
    ("--cert=/dev/null", Supported),
    ("--check", Rejected),
    ("--check=all", Rejected),
    ("--conditions=a", Supported),
    ("--config=config.json", Supported),
    ("--coverage", Rejected),
    ("--deny-env=NONE", Supported),
    ("--deny-ffi", Supported),
    ("--deny-import", Supported),
    ("--deny-net", Supported),
    ("--deny-read=none", Supported),
    ("--deny-run", Supported),
    ("--deny-sys", Supported),
    ("--deny-write", Supported),
    ("--env-file=.env", Supported),
    ("--frozen", Supported),
    ("--frozen-lockfile=false", Supported),
    ("--ignore-env", Supported),
    ("--ignore-read", Supported),
    ("--import-map=config.json", Supported),
    // Those that wait for a debugger are in `inspector.rs`.
    ("--inspect=127.0.0.1:0", Supported),
    ("--inspect-publish-uid=http", Supported),
    ("--location=https://example.com", Supported),
    ("--lock=deno.lock", Supported),
    ("--log-level=debug", Ignored),
    ("--min-dep-age=1", Supported),
    ("--no-check", Ignored),
    ("--no-config", Supported),
    ("--no-lock", Supported),
    ("--no-npm", Supported),
    ("--no-prompt", Supported),
    ("--no-remote", Supported),
    ("--node-modules-dir", Supported),
    ("--node-modules-linker=isolated", Supported),
    ("--permission-set", Supported),
    ("--preload=main.ts", Rejected),
    ("--quiet", Supported),
    ("--reload", Supported),
    ("--require=main.ts", Rejected),
    ("--seed=1", Supported),
    ("--unsafely-ignore-certificate-errors", Supported),
    ("--unstable", Ignored),
    ("--unstable-bare-node-builtins", Ignored),
    ("--unstable-broadcast-channel", Ignored),
    ("--unstable-bundle", Rejected),
    ("--unstable-byonm", Ignored),
    ("--unstable-cron", Ignored),
    ("--unstable-detect-cjs", Ignored),
    ("--unstable-ffi", Rejected),
    ("--unstable-fs", Ignored),
    ("--unstable-http", Ignored),
    ("--unstable-kv", Ignored),
    ("--unstable-lazy-dynamic-imports", Ignored),
    ("--unstable-lockfile-v5", Ignored),
    ("--unstable-net", Ignored),
    ("--unstable-no-legacy-abort", Supported),
    ("--unstable-node-globals", Ignored),
    ("--unstable-npm-lazy-caching", Supported),
    ("--unstable-otel", Rejected),
    ("--unstable-process", Ignored),
    ("--unstable-raw-imports", Ignored),
    ("--sloppy-imports", Supported),
    ("--unstable-sloppy-imports", Supported),
    ("--unstable-subdomain-wildcards", Ignored),
    ("--unstable-temporal", Ignored),
    ("--unstable-tsgo", Ignored),
    ("--unstable-unsafe-proto", Supported),
    ("--unstable-vsock", Ignored),
    ("--unstable-webgpu", Rejected),
    ("--unstable-worker-options", Supported),
    ("--v8-flags=--no-opt", Supported),
    ("--vendor", Supported),
];

/// The flags of `deno run` and `deno test` that `deno eval` lacks.
const WATCHED: Table<'static> = &[
    ("--allow-scripts", Supported),
    ("--ext=ts", Supported),
    ("--no-clear-screen", Supported),
    ("--watch-exclude=none", Supported),
];

const RUN_ONLY: Table<'static> = &[("--hmr", Rejected), ("--no-code-cache", Supported), ("--use-env-proxy", Ignored)];

const TEST_ONLY: Table<'static> = &[
    ("--changed", Rejected),
    ("--clean", Rejected),
    ("--coverage-raw-data-only", Rejected),
    ("--coverage-threshold=1", Rejected),
    ("--doc", Rejected),
    ("--fail-fast", Supported),
    ("--filter=a", Supported),
    ("--hide-stacktraces", Rejected),
    ("--ignore=none", Supported),
    ("--junit-path=a", Supported),
    ("--no-run", Supported),
    ("--parallel", Ignored),
    ("--permit-no-files", Supported),
    ("--related=main.ts", Rejected),
    ("--repeats=1", Supported),
    ("--reporter=dot", Supported),
    ("--retry=1", Supported),
    ("--sanitize-ops", Supported),
    ("--sanitize-resources", Supported),
    ("--shard=1/1", Rejected),
    ("--shuffle", Supported),
    ("--update-snapshots", Rejected),
];

#[test]
fn every_flag_of_deno_is_supported_ignored_or_rejected() {
    let sandbox = Sandbox::new();
    for file in [".env", "main.ts"] {
        sandbox.write(file, "");
    }
    sandbox.write("config.json", "{}");
    let repl = [("--eval=1", Supported), ("--eval-file=main.ts", Supported), ("--json", Rejected)];
    let eval = [("--print", Supported), ("--ext=ts", Supported)];
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
            if treatment == Rejected {
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

/// The flags of the commands that manage dependencies.
const MODULES: Table<'static> = &[
    ("--allow-import", Supported),
    ("--allow-scripts", Supported),
    ("--cert=/dev/null", Supported),
    ("--config=config.json", Supported),
    ("--deny-import", Supported),
    ("--env-file", Supported),
    ("--frozen-lockfile", Supported),
    ("--import-map=config.json", Supported),
    ("--lock", Supported),
    ("--min-dep-age=1", Supported),
    ("--no-check", Ignored),
    ("--no-config", Supported),
    ("--no-lock", Supported),
    ("--no-npm", Supported),
    ("--no-remote", Supported),
    ("--node-modules-dir", Supported),
    ("--node-modules-linker=hoisted", Supported),
    ("--reload", Supported),
    ("--unsafely-ignore-certificate-errors", Supported),
    ("--vendor", Supported),
];

const ADD: Table<'static> = &[
    ("--dev", Supported),
    ("--jsr", Supported),
    ("--lockfile-only", Supported),
    ("--no-save", Supported),
    ("--npm", Supported),
    ("--package-json", Supported),
    ("--save-exact", Supported),
    ("--save-optional", Supported),
    ("--unscoped", Supported),
];

const INSTALL: Table<'static> = &[
    ("--arch=x64", Rejected),
    ("--check", Rejected),
    ("--compile", Rejected),
    ("--entrypoint", Supported),
    ("--force", Rejected),
    ("--global", Rejected),
    ("--name=a", Rejected),
    ("--os=linux", Rejected),
    ("--prod", Supported),
    ("--root=a", Rejected),
    ("--skip-types", Supported),
];

const REMOVE: Table<'static> =
    &[("--global", Rejected), ("--lockfile-only", Supported), ("--package-json", Supported), ("--root=a", Rejected)];

#[test]
fn every_flag_of_dependency_commands_is_supported_ignored_or_rejected() {
    let sandbox = Sandbox::new();
    let cache = [("--check", Rejected), ("--ext=ts", Rejected)];
    let tables: [(&str, &[Table]); 4] = [
        ("add", &[MODULES, ADD]),
        ("install", &[MODULES, ADD, INSTALL]),
        ("remove", &[MODULES, REMOVE]),
        ("cache", &[MODULES, &cache]),
    ];
    for (command, flags) in tables {
        for (flag, treatment) in flags.concat() {
            // Nothing is installed: the flags are accepted before the help is printed.
            let last = if treatment == Rejected { "none" } else { "--help" };
            let output = sandbox.openkv([command, flag, last]);
            if treatment == Rejected {
                let name = flag.split('=').next().unwrap();
                let message = format!("error: '{name}' is not supported: ");
                assert_eq!((output.code, output.stdout.as_str()), (Some(2), ""), "{command} {flag}");
                assert!(output.stderr.starts_with(&message), "{command} {flag}: {output:?}");
            } else {
                assert_eq!(output.code, Some(0), "{command} {flag}: {output:?}");
            }
        }
    }
}

#[test]
fn every_configuration_entry_is_supported_ignored_or_rejected() {
    let sandbox = Sandbox::new();
    sandbox.write("main.ts", "console.log('runs');");
    sandbox.write("a/deno.json", "{}");
    for (entry, treatment) in [
        (r#""allowScripts": ["npm:a"]"#, Supported),
        (r#""bench": { "include": ["a"] }"#, Ignored),
        (r#""catalog": { "a": "npm:a" }"#, Supported),
        (r#""catalogs": { "a": { "b": "npm:b" } }"#, Supported),
        (r#""compile": { "include": ["a"] }"#, Ignored),
        (r#""compilerOptions": { "experimentalDecorators": true, "emitDecoratorMetadata": true }"#, Supported),
        (r#""compilerOptions": { "jsx": "react-jsx", "jsxImportSource": "a" }"#, Supported),
        (r#""compilerOptions": { "strict": true, "lib": ["deno.ns"], "types": ["a"] }"#, Ignored),
        (r#""compilerOptions": { "verbatimModuleSyntax": true }"#, Supported),
        (r#""coverage": {}"#, Ignored),
        (r#""deploy": { "org": "a", "app": "b" }"#, Ignored),
        (r#""desktop": {}"#, Ignored),
        (r#""exclude": ["a"]"#, Supported),
        (r#""exports": "./main.ts""#, Ignored),
        (r#""fmt": { "lineWidth": 120 }"#, Ignored),
        (r#""imports": { "a": "./main.ts" }"#, Supported),
        (r#""jsrDepsInNodeModules": true"#, Supported),
        (r#""license": "MIT""#, Ignored),
        (r#""links": []"#, Supported),
        (r#""links": ["./a"]"#, Supported),
        (r#""lint": { "rules": { "tags": ["recommended"] } }"#, Ignored),
        (r#""lock": { "frozen": true, "path": "a.lock" }"#, Supported),
        (r#""lock": false"#, Supported),
        (r#""minimumDependencyAge": "P1D""#, Supported),
        (r#""name": "@a/b", "version": "1.0.0""#, Ignored),
        (r#""nodeModulesDir": "manual", "nodeModulesLinker": "hoisted""#, Supported),
        (r#""permissions": { "default": { "read": true } }"#, Supported),
        (r#""preferPackageJson": true"#, Ignored),
        (r#""publish": { "include": ["a"] }"#, Ignored),
        (r#""scopes": { "./a/": { "b": "./main.ts" } }"#, Supported),
        (r#""tasks": { "a": "deno run main.ts" }"#, Ignored),
        (r#""test": { "include": ["a"], "sanitizeOps": true, "sanitizeResources": true }"#, Supported),
        (r#""unstable": ["kv", "unsafe-proto", "no-legacy-abort"]"#, Supported),
        (r#""unstable": ["npm-lazy-caching", "sloppy-imports"]"#, Supported),
        (r#""unstable": ["bare-node-builtins"]"#, Ignored),
        (r#""vendor": false"#, Supported),
        (r#""vendor": true"#, Supported),
        (r#""workspace": ["./a"]"#, Supported),
    ] {
        sandbox.write("deno.json", format!("{{ {entry} }}"));
        let mut output = sandbox.openkv(["run", "main.ts"]);
        output.stderr = output.stderr.replace(DEPRECATED_DECORATORS, "");
        if treatment == Rejected {
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
    assert!(output.stderr.starts_with("Warning Unknown unstable feature 'nothing' in file://"), "{output:?}");
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
fn no_legacy_abort_keeps_the_signal_after_the_response() {
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
    // Deno's library prints a warning.
    let output = sandbox.openkv(["-N", "main.ts"]);
    assert_eq!((output.code, output.stdout.as_str()), (Some(0), "true\n"), "{output:?}");
    assert_eq!(sandbox.openkv(["-N", "--unstable-no-legacy-abort", "main.ts"]).stdout(), "false\n");
}

#[test]
fn unsupported_commands_of_deno_are_rejected() {
    let sandbox = Sandbox::new();
    sandbox.write("fmt", "console.log('runs');");
    let commands = "approve-scripts audit bench bump-version bundle check ci clean compile coverage create deploy desktop doc \
        fmt info init jupyter link lint list lsp outdated pack publish sandbox transpile unlink update upgrade vendor watch \
        why x";
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
fn global_flags_precede_the_command() {
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
fn distributed_database_can_be_required() {
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
