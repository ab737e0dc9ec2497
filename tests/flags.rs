//! Command-line flags, and the commands other than `run`, `repl` and `test`.

use crate::support::{Sandbox, TIMEOUT};

#[test]
fn env_files_set_unset_variables() {
    let sandbox = Sandbox::new();
    sandbox.write(".env", "A=default\nB='default'\nA=twice\n");
    sandbox.write("more.env", "B=more\nC=\"$A ${B}\"\nHOME=never\n");
    sandbox.write("latin.env", b"B=\xff\n");
    sandbox.write(
        "main.ts",
        "console.log(['A', 'B', 'C'].map((name) => Deno.env.get(name)), Deno.env.get('HOME') !== 'never');",
    );
    let run = |args: &[&str]| sandbox.openkv(["run", "-E"].iter().chain(args).chain(&["main.ts"]));
    assert_eq!(run(&[]).stdout(), "[ undefined, undefined, undefined ] true\n");
    assert_eq!(run(&["--env-file"]).stdout(), "[ \"default\", \"default\", undefined ] true\n");
    assert_eq!(run(&["--env-file=more.env"]).stdout(), "[ undefined, \"more\", \" more\" ] true\n");
    // Later files win.
    assert_eq!(run(&["--env-file", "--env-file=more.env"]).stdout(), "[ \"default\", \"more\", \" more\" ] true\n");
    assert_eq!(
        run(&["--env-file=more.env", "--env-file"]).stdout(),
        "[ \"default\", \"default\", \"default default\" ] true\n"
    );

    for file in ["missing.env", "latin.env"] {
        let flag = format!("--env-file={file}");
        let output = run(&[&flag]);
        assert_eq!(output.code, Some(0));
        assert!(
            output.stderr.starts_with(&format!("Warning Failed to read the environment file \"{file}\": ")),
            "{output:?}"
        );
        assert_eq!(run(&[&flag, "--quiet"]).stdout(), "[ undefined, undefined, undefined ] true\n");
    }
}

#[test]
fn eval_runs_code_with_all_permissions() {
    let sandbox = Sandbox::new();
    let eval = |args: &[&str]| sandbox.openkv(["eval"].iter().chain(args));
    assert_eq!(eval(&["console.log(Deno.args, 1 as number)", "a", "-p"]).stdout(), "[ \"a\", \"-p\" ] 1\n");
    assert_eq!(eval(&["-p", "await Promise.resolve({ a: 1 }) // a comment"]).stdout(), "{ a: 1 }\n");
    assert_eq!(
        eval(&["console.log(import.meta.url.endsWith('/$deno$eval.mts'), import.meta.main)"]).stdout(),
        "true true\n"
    );
    assert_eq!(
        eval(&["--ext=tsx", "const React = { createElement: (tag) => tag }; console.log(<a/>)"]).stdout(),
        "a\n"
    );
    assert_eq!(
        eval(&["-p", "Deno.readTextFileSync('/dev/null').length + Deno.env.get('HOME').length > 0"]).stdout(),
        "true\n"
    );
    assert!(eval(&["--deny-env", "Deno.env.get('HOME')"]).stderr().contains("Requires env access"));
    assert!(eval(&["--ext=js", "const a: number = 1"]).stderr().contains("SyntaxError: "));
    assert!(eval(&["throw new Error('x')"]).stderr().starts_with("error: Uncaught (in promise) Error: x\n"));

    // As in Deno, `eval` has one default database per directory.
    eval(&["(await Deno.openKv()).set(['a'], 1)"]).stdout();
    assert_eq!(eval(&["-p", "(await (await Deno.openKv()).get(['a'])).value"]).stdout(), "1\n");
}

#[test]
fn script_is_read_from_standard_input() {
    let sandbox = Sandbox::new();
    let script = "console.log(Deno.args, import.meta.url.endsWith('/$deno$stdin.mts'), 1 as number);";
    assert_eq!(sandbox.openkv_reading(script, ["run", "-", "a"]).stdout(), "[ \"a\" ] true 1\n");
    assert!(sandbox.openkv_reading(script, ["run", "--ext=js", "-"]).stderr().contains("SyntaxError: "));
}

#[test]
fn ext_selects_the_media_type() {
    let sandbox = Sandbox::new();
    for file in ["script", "script.txt", "script.js"] {
        sandbox.write(file, "console.log(1 as number);");
    }
    assert_eq!(sandbox.openkv(["run", "script"]).stdout(), "1\n", "without an extension, it is TypeScript");
    for file in ["script", "script.txt", "script.js"] {
        assert_eq!(sandbox.openkv(["run", "--ext=ts", file]).stdout(), "1\n", "{file}");
        let stderr = sandbox.openkv(["run", "--ext", "js", file]).stderr();
        assert!(stderr.contains("SyntaxError: "), "{stderr}");
    }
}

#[test]
fn seed_makes_random_numbers_reproducible() {
    let sandbox = Sandbox::new();
    let draw = |seed| sandbox.openkv(["eval", seed, "-p", "[Math.random(), crypto.randomUUID()]"]).stdout();
    assert_eq!(draw("--seed=1"), draw("--seed=1"));
    assert_ne!(draw("--seed=1"), draw("--seed=2"));
}

#[test]
fn v8_flags_are_passed_to_v8() {
    let sandbox = Sandbox::new();
    let gc = "typeof gc";
    assert_eq!(sandbox.openkv(["eval", "-p", gc]).stdout(), "undefined\n");
    assert_eq!(sandbox.openkv(["eval", "--v8-flags=--expose-gc,--no-opt", "-p", gc]).stdout(), "function\n");
    let mut command = sandbox.command(["eval", "-p", gc]);
    let output = command.env("DENO_V8_FLAGS", "--expose-gc").output().unwrap();
    assert_eq!(output.stdout, b"function\n");
    let stderr = sandbox.openkv(["eval", "--v8-flags=--no-such-flag", ""]).stderr();
    assert_eq!(stderr, "error: unknown V8 flag '--no-such-flag': --v8-flags=--help lists all flags\n");
    assert!(sandbox.openkv(["run", "--v8-flags=--help", "-"]).stdout.contains("--expose-gc"));
}

/// V8's own default is 1.4 GB, regardless of the memory of the system.
#[test]
fn heap_limit_is_half_of_the_memory_or_2_gib() {
    const VERBOSE: &str = "--v8-flags=--expose-gc,--trace-gc-verbose";
    /// Returns the maximum size of the heap in bytes, as traced by V8 after a collection.
    fn limit(output: &str) -> u64 {
        let line = output.lines().find(|line| line.contains("Memory allocator,")).unwrap_or_else(|| panic!("{output}"));
        let sizes = line.rsplit("Memory allocator,").next().unwrap().split(',');
        let kilobytes = sizes.map(|size| size.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap());
        kilobytes.sum::<u64>() << 10
    }

    let sandbox = Sandbox::new();
    sandbox.write("main_test.ts", "Deno.test('a', () => {}); gc();");
    let total = sandbox.openkv(["eval", "-p", "Deno.systemMemoryInfo().total"]).stdout();
    let least = (total.trim().parse::<u64>().unwrap() / 2).min(2 << 30);
    for args in [&["run", VERBOSE, "main_test.ts"][..], &["test", VERBOSE], &["eval", VERBOSE, "gc()"]] {
        let limit = limit(&sandbox.openkv(args).stdout());
        assert!(limit >= least, "{args:?}: {limit} < {least}");
    }
    let repl = limit(&sandbox.openkv_reading("gc()", ["repl", "-q", VERBOSE]).stdout());
    assert!(repl >= least, "repl: {repl} < {least}");

    for flag in ["--max-old-space-size=100", "--max-heap-size=100"] {
        let limit = limit(&sandbox.openkv(["eval", VERBOSE, &format!("--v8-flags={flag}"), "gc()"]).stdout());
        assert!(limit <= 300 << 20, "{flag}: {limit}");
    }
}

#[test]
fn ignored_files_and_variables_seem_missing() {
    let sandbox = Sandbox::new();
    let script = "let error; try { Deno.readTextFileSync('main.ts') } catch (e) { error = e.name }
        console.log(Deno.env.get('HOME'), error);";
    sandbox.write("main.ts", script);
    assert_eq!(sandbox.openkv(["--ignore-env", "--ignore-read", "main.ts"]).stdout(), "undefined NotFound\n");
    assert_eq!(sandbox.openkv(["-A", "--ignore-env=HOME", "main.ts"]).stdout(), "undefined undefined\n");
}

#[test]
fn location_is_an_http_url_without_credentials() {
    let sandbox = Sandbox::new();
    let location = |url: &str| sandbox.openkv(["eval", "--location", url, "-p", "location.href"]);
    assert_eq!(location("https://user:secret@example.com/a?b#c").stdout(), "https://example.com/a?b#c\n");
    for url in ["ftp://example.com", "example", "data:,a"] {
        let output = location(url);
        assert_eq!(output.code, Some(2));
        assert!(
            output.stderr.starts_with(&format!("error: invalid value '{url}' for '--location <URL>'")),
            "{output:?}"
        );
    }
}

#[test]
fn flags_without_effect_are_accepted() {
    let sandbox = Sandbox::new();
    sandbox.write("main.ts", "console.log(Deno.args);");
    for flags in [
        &["--no-check", "--no-check=remote"][..],
        &["--unstable", "--unstable-kv", "--unstable-net", "--unstable-temporal"],
        &["--node-modules-dir=manual", "--node-modules-linker", "hoisted", "--no-npm", "--allow-scripts=npm:a,npm:b"],
        &["--use-env-proxy", "-L", "debug", "-q"],
        &[
            "--cached-only",
            "--no-remote",
            "--no-lock",
            "--frozen",
            "--no-config",
            "--no-prompt",
            "--reload=https://a.b/",
        ],
    ] {
        let args = flags.iter().chain(&["main.ts", "--check"]);
        assert_eq!(sandbox.openkv(["run"].iter().chain(args)).stdout(), "[ \"--check\" ]\n", "{flags:?}");
    }
}

#[test]
fn unsupported_flags_are_rejected() {
    let sandbox = Sandbox::new();
    sandbox.write("main.ts", "console.log('runs');");
    for (command, flag) in [
        ("run", "--hmr"),
        ("run", "--coverage=directory"),
        ("run", "--preload=main.ts"),
        ("eval", "--require=main.ts"),
        ("test", "--doc"),
        ("test", "-u"),
        ("test", "--shard=1/2"),
    ] {
        let output = sandbox.openkv([command, flag, "main.ts"]);
        assert_eq!((output.code, output.stdout.as_str()), (Some(2), ""), "{flag}");
        assert!(
            output.stderr.starts_with("error: '--") && output.stderr.contains("' is not supported: "),
            "{output:?}"
        );
    }
}

#[test]
fn invalid_flags_are_one_error_message() {
    let sandbox = Sandbox::new();
    sandbox.write("main.ts", "console.log('runs');");
    for (args, code, message) in [
        (&["run", "--no-such-flag", "main.ts"][..], 2, "error: unexpected argument '--no-such-flag' found"),
        (&["run", "--unstable-nothing", "main.ts"], 2, "error: unexpected argument '--unstable-nothing' found"),
        (&["run", "--ext=txt", "main.ts"], 2, "error: invalid value 'txt' for '--ext <TYPE>'"),
        (&["run", "--seed=a", "main.ts"], 2, "error: invalid value 'a' for '--seed <NUMBER>'"),
        (
            &["run", "--config=a", "--no-config", "main.ts"],
            2,
            "error: the argument '--config <FILE>' cannot be used with",
        ),
        (&["run", "--allow-read=", "main.ts"], 1, "error: Empty path is not allowed"),
        (&["run", "--allow-net=http://a", "main.ts"], 1, "error: invalid value 'http://a': URLs are not supported"),
        (&["run", "--allow-sys=nothing", "main.ts"], 1, "error: unknown system info kind \"nothing\""),
        (&["eval"], 2, "error: the following required arguments were not provided:\n  <CODE>"),
        (&["completions", "nosh"], 2, "error: invalid value 'nosh' for '<SHELL>'"),
        (&["test", "--filter=/[/"], 2, "error: invalid value '/[/' for '--filter <TEXT>': regex parse error"),
        (&["test", "--fail-fast=0"], 2, "error: invalid value '0' for '--fail-fast[=<NUMBER>]'"),
        (&["run", "--node-modules-dir=a", "main.ts"], 2, "error: invalid value 'a' for '--node-modules-dir"),
        (&["run", "--min-dep-age=a", "main.ts"], 2, "error: invalid value 'a' for '--min-dep-age <AGE>'"),
        (&["run", "--allow-scripts=jsr:@a/b", "main.ts"], 2, "error: invalid value 'jsr:@a/b' for '--allow-scripts"),
        (&["test", "--reporter=xml"], 2, "error: invalid value 'xml' for '--reporter <KIND>'"),
    ] {
        let output = sandbox.openkv(args);
        assert_eq!((output.code, output.stdout.as_str()), (Some(code), ""), "{args:?}: {output:?}");
        assert!(output.stderr.starts_with(message), "{output:?}");
        assert!(!output.stderr.contains("panicked"), "{output:?}");
    }
}

#[test]
fn version_lists_components() {
    let sandbox = Sandbox::new();
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(sandbox.openkv(["-V"]).stdout(), format!("openkv {version}\n"));
    let long = sandbox.openkv(["--version"]).stdout();
    let lines: Vec<_> = long.lines().map(|line| line.split(' ').next().unwrap()).collect();
    assert_eq!(lines, ["openkv", "deno", "v8", "typescript"]);
    let inside =
        sandbox.openkv(["eval", "-p", "`v8 ${Deno.version.v8}\\ntypescript ${Deno.version.typescript}`"]).stdout();
    assert!(long.ends_with(&inside), "{long}{inside}");
}

#[test]
fn every_command_has_help() {
    let sandbox = Sandbox::new();
    let help = sandbox.openkv(["--help"]).stdout();
    assert_eq!(sandbox.openkv(["help"]).stdout(), help);
    for command in ["run", "eval", "repl", "test", "types", "completions"] {
        assert!(help.contains(&format!("\n  {command} ")), "{help}");
        let own = sandbox.openkv(["help", command]).stdout();
        assert!(own.contains("Usage: openkv ") && own.contains(command), "{own}");
    }
}

#[test]
fn types_declares_deno_kv() {
    let sandbox = Sandbox::new();
    let types = sandbox.openkv(["types"]).stdout();
    assert!(types.contains("export function openKv(path?: string): Promise<Kv>;"), "{types}");
}

#[test]
fn every_command_has_a_man_page() {
    let sandbox = Sandbox::new();
    assert_eq!(sandbox.openkv(["man", "."]).stdout(), "");
    let help = sandbox.openkv(["--help"]).stdout();
    let (_, commands) = help.split_once("Commands:\n").unwrap();
    // Descriptions continue in lines that are indented further.
    let commands = commands.lines().take_while(|line| !line.is_empty()).filter_map(|line| line.strip_prefix("  "));
    let commands = commands.filter(|line| !line.starts_with(' ')).filter_map(|line| line.split_whitespace().next());
    for command in commands.filter(|command| *command != "help") {
        let page = std::fs::read_to_string(sandbox.path(&format!("openkv-{command}.1"))).unwrap();
        assert!(page.contains(&format!("openkv\\-{command}")), "{page}");
    }
    assert!(sandbox.path("openkv-db-serve.1").exists());
    let error = sandbox.openkv(["man", "missing"]).stderr();
    assert!(error.contains("failed to write the man pages to missing"), "{error}");
}

#[test]
fn completions_contain_commands_and_flags() {
    let sandbox = Sandbox::new();
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let script = sandbox.openkv(["completions", shell]).stdout();
        for word in ["openkv", "eval", "allow-read", "env-file", "sanitize-ops"] {
            assert!(script.contains(word), "{shell}: {word}");
        }
    }
    // Bash can load the script, and complete with it.
    let script = "source <(\"$0\" completions bash); COMP_WORDS=(openkv run --allow-r); COMP_CWORD=2;
        _openkv openkv --allow-r run; echo \"${COMPREPLY[@]}\"";
    let mut command = std::process::Command::new("bash");
    let mut command = assert_cmd::Command::from_std({
        command.args(["-c", script, env!("CARGO_BIN_EXE_openkv")]);
        command
    });
    let output = command.timeout(TIMEOUT).output().unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "--allow-read --allow-run\n");
}
