//! `openkv test`: its output for the modules of `tests/testing`, and the selection of modules.

use std::path::Path;

use crate::support::{Output, Sandbox, repository};

/// Runs `openkv test` in `tests/testing`.
fn test(args: &[&str]) -> Output {
    let sandbox = Sandbox::new();
    let mut command = sandbox.command(["test"].iter().chain(args));
    let output = command.current_dir(repository("tests/testing")).output().expect("openkv starts");
    let text = |bytes| stable(&String::from_utf8(bytes).expect("results are UTF-8"));
    Output { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
}

/// Removes what differs between runs and releases: durations, the directory, and stack frames of extensions.
fn stable(text: &str) -> String {
    let directory = format!("file://{}/", repository("tests/testing").display());
    let lines = text.lines().filter(|line| !(line.starts_with("    at ") && line.contains("(ext:")));
    lines.map(|line| without_duration(line).replace(&directory, "") + "\n").collect()
}

/// Removes the duration at the end of a line, such as "(12ms)".
fn without_duration(line: &str) -> String {
    let duration = line.rsplit_once(" (").filter(|(_, end)| {
        let number = end.strip_suffix("s)").map(|end| end.trim_end_matches(['m', 'µ']));
        number.is_some_and(|number| number.parse::<u32>().is_ok())
    });
    duration.map_or(line, |(line, _)| line).into()
}

/// Runs a module, and compares its output with the `.out` file next to it.
#[track_caller]
fn prints(name: &str, args: &[&str], code: i32) {
    let output = test(&[args, &["-A", &format!("{name}_test.ts")]].concat());
    let expected = std::fs::read_to_string(repository("tests/testing").join(format!("{name}.out"))).unwrap();
    assert_eq!(output.stdout, expected, "{}", output.stderr);
    assert_eq!(output.code, Some(code));
}

macro_rules! modules {
    ($($name:ident $args:expr, $code:expr;)*) => {
        $(
            #[test]
            fn $name() {
                prints(stringify!($name), &$args, $code);
            }
        )*
    };
}

modules! {
    forms [], 0;
    steps [], 1;
    hooks [], 1;
    hooks_fail [], 1;
    failures [], 1;
    interrupted [], 1;
    late [], 1;
    uncaught [], 1;
    rejected [], 1;
    throws [], 1;
    exits [], 1;
    broken [], 1;
    sanitizers ["--sanitize-ops", "--sanitize-resources"], 1;
    retry [], 1;
    only [], 1;
    kv [], 0;
}

#[test]
fn sanitizers_are_off_by_default() {
    let output = test(&["-A", "sanitizers_test.ts"]);
    assert!(output.stdout().ends_with("\nok | 7 passed | 0 failed\n\n"));
}

#[test]
fn last_line_states_the_reason_of_failure() {
    assert_eq!(test(&["steps_test.ts"]).stderr, "error: Test failed\n");
    assert_eq!(test(&["only_test.ts"]).stderr, "error: Test failed because the \"only\" option was used\n");
}

#[test]
fn test_that_may_exit_terminates_the_run() {
    let sandbox = Sandbox::new();
    sandbox.write("a_test.ts", "Deno.test('leaves', { sanitizeExit: false }, () => Deno.exit(7));");
    let output = sandbox.openkv(["test", "a_test.ts"]);
    assert_eq!((output.code, output.stdout.as_str()), (Some(7), "running 1 test from ./a_test.ts\nleaves ..."));
    assert!(output.stderr.contains("called Deno.exit(7)"), "{}", output.stderr);
}

/// A module of four tests, two of which fail.
const FOUR: &str = "Deno.test('one', () => { throw 1; }); Deno.test('two', () => { throw 2; });
    Deno.test('three', () => {}); Deno.test('one/four', () => {});";

#[test]
fn flags_select_tests() {
    let sandbox = Sandbox::new();
    sandbox.write("a_test.ts", FOUR);
    sandbox.write("b_test.ts", FOUR);
    for (args, expected) in [
        (&[][..], "FAILED | 4 passed | 4 failed"),
        (&["--filter=one"], "FAILED | 2 passed | 2 failed | 4 filtered out"),
        (&["--filter", "/^t/"], "FAILED | 2 passed | 2 failed | 4 filtered out"),
        (&["--filter=/four"], "ok | 2 passed | 0 failed | 6 filtered out"),
        (&["--filter=none of them"], "ok | 0 passed | 0 failed | 8 filtered out"),
        (&["--fail-fast"], "FAILED | 0 passed | 1 failed"),
        (&["--fail-fast=3"], "FAILED | 2 passed | 3 failed"),
        (&["--ignore=a_test.ts"], "FAILED | 2 passed | 2 failed"),
        (&["--retry=1", "--repeats=1", "--parallel", "--trace-leaks", "--no-check"], "FAILED | 4 passed | 4 failed"),
        (&["--reporter=dot", "--shuffle"], "FAILED | 4 passed | 4 failed"),
    ] {
        let output = sandbox.openkv(["test"].iter().chain(args));
        let summary = stable(&output.stdout).lines().rfind(|line| !line.is_empty()).unwrap().to_owned();
        assert_eq!(summary, expected, "{args:?}: {}{}", output.stdout, output.stderr);
        assert_eq!(output.code, Some(i32::from(expected.starts_with("FAILED"))), "{args:?}");
    }
}

#[test]
fn seed_makes_the_order_reproducible() {
    let sandbox = Sandbox::new();
    let tests: String = (0..20).map(|i| format!("Deno.test('{i}', () => {{}});\n")).collect();
    sandbox.write("a_test.ts", tests);
    let order = |seed: &str| stable(&sandbox.openkv(["test", seed]).stdout);
    let plain = stable(&sandbox.openkv(["test"]).stdout());
    assert_eq!(order("--shuffle=1"), order("--shuffle=1"));
    assert_ne!(order("--shuffle=1"), order("--shuffle=2"));
    assert_ne!(order("--shuffle=1"), plain);
    let shuffled = sandbox.openkv(["test", "--shuffle"]);
    let seed = shuffled.stderr.strip_prefix("Shuffled with ").expect("the seed is logged").trim_end();
    assert_eq!(order(seed), stable(&shuffled.stdout));
}

#[test]
fn modules_are_found_by_their_names() {
    let sandbox = Sandbox::new();
    for file in [
        "a_test.ts",
        "b.test.js",
        "c_test.tsx",
        "test.mjs",
        "directory/test.ts",
        "directory/.hidden/_test.mts",
        "__tests__/any.jsx",
        "a_tests.ts",
        "test_a.ts",
        "atest.ts",
        "a_test.json",
        "a_test.d.ts",
        "a_test.ts.bak",
        "other.ts",
        "node_modules/x_test.ts",
        ".git/x_test.ts",
    ] {
        let text = if file.contains("json") { "{}" } else { "Deno.test('x', () => {});" };
        sandbox.write(file, text);
    }
    std::fs::create_dir(sandbox.path("empty")).unwrap();
    let found = |args: &[&str]| {
        let output = sandbox.openkv(["test"].iter().chain(args)).stdout();
        let modules = output.lines().filter_map(|line| line.strip_prefix("running 1 test from ./").map(Into::into));
        modules.collect::<Vec<String>>().join(" ")
    };
    let all = "__tests__/any.jsx a_test.ts b.test.js c_test.tsx directory/.hidden/_test.mts directory/test.ts test.mjs";
    assert_eq!(found(&[]), all);
    assert_eq!(found(&["."]), all);
    assert_eq!(
        found(&["directory", "other.ts", "./b.test.js"]),
        "other.ts b.test.js directory/.hidden/_test.mts directory/test.ts"
    );
    assert_eq!(found(&["b.test.js", "./b.test.js", "directory/../b.test.js"]), "b.test.js");
    assert_eq!(found(&["node_modules"]), "node_modules/x_test.ts");
    assert_eq!(found(&["directory/*.ts", "*.js*"]), "b.test.js directory/test.ts");
    assert_eq!(found(&["**/*test.ts"]), "a_test.ts atest.ts directory/test.ts");
    assert_eq!(found(&["--ignore=directory,__tests__,**/*.mjs"]), "a_test.ts b.test.js c_test.tsx");
    let url = format!("file://{}", sandbox.path("other.ts").display());
    assert_eq!(found(&[&url]), "other.ts");
    assert_eq!(found(&["--permit-no-files", "empty"]), "");
    sandbox.write("vendor/x_test.ts", "Deno.test('x', () => {});");
    assert_eq!(
        found(&["--ignore=directory,__tests__", "."]),
        "a_test.ts b.test.js c_test.tsx test.mjs vendor/x_test.ts"
    );
    assert_eq!(found(&["--vendor", "--ignore=directory,__tests__", "."]), "a_test.ts b.test.js c_test.tsx test.mjs");

    for (args, message) in [
        (&["empty"][..], "error: No test modules found\n"),
        (&["missing.ts"], "error: No such file or directory: \"missing.ts\"\n"),
        (&["***.ts"], "error: Invalid glob pattern \"***.ts\": "),
    ] {
        let stderr = sandbox.openkv(["test"].iter().chain(args)).stderr();
        assert!(stderr.starts_with(message), "{stderr}");
    }
}

#[test]
fn no_run_only_loads_modules() {
    let sandbox = Sandbox::new();
    sandbox.write("a_test.ts", "import './b.ts'; console.log('not run');");
    sandbox.write("b.ts", "");
    assert_eq!(sandbox.openkv(["test", "--no-run"]).stdout(), "");
    sandbox.write("b.ts", "let a b;");
    assert!(sandbox.openkv(["test", "--no-run"]).stderr().starts_with("error: SyntaxError: "));
}

#[test]
fn tests_have_arguments_permissions_and_a_default_database() {
    let sandbox = Sandbox::new();
    let script = |set: bool| {
        format!(
            "Deno.test('x', async () => {{
                const kv = await Deno.openKv();
                console.log(Deno.args, import.meta.main, (await kv.get(['a'])).value);
                if ({set}) await kv.set(['a'], 1);
                kv.close();
                Deno.env.get('HOME');
            }});"
        )
    };
    sandbox.write("a_test.ts", script(true));
    sandbox.write("b_test.ts", script(false));
    for value in ["null", "1"] {
        let output = sandbox.openkv(["test", "--allow-env=HOME", "--", "--flag", "b"]).stdout();
        assert_eq!(
            output.matches(&format!("[ \"--flag\", \"b\" ] false {value}\n")).count(),
            1 + usize::from(value == "null")
        );
    }
    let output = sandbox.openkv(["test", "a_test.ts"]);
    assert!(output.stdout.contains("NotCapable: Requires env access to \"HOME\""), "{}", output.stdout);
}

#[test]
fn invalid_permissions_fail_the_test() {
    let cases = [
        ("5", "The permissions of a test must be \"inherit\", \"none\" or an object: received number"),
        ("'all'", "The permissions of a test must be \"inherit\", \"none\" or an object: received \"all\""),
        ("Symbol('s')", "The permissions of a test must be \"inherit\", \"none\" or an object: received symbol"),
        ("() => 1", "The permissions of a test must be \"inherit\", \"none\" or an object: received function"),
        ("{ files: true }", "Unknown permission \"files\" of a test"),
        (
            "{ read: 1n }",
            "The permission \"read\" of a test must be \"inherit\", a boolean or an array of strings: received bigint",
        ),
        (
            "{ net: Symbol('s') }",
            "The permission \"net\" of a test must be \"inherit\", a boolean or an array of strings: received symbol",
        ),
        ("{ run: [Symbol('s')] }", "The elements of the permission \"run\" of a test must be strings: received symbol"),
        ("{ env: [null] }", "The elements of the permission \"env\" of a test must be strings: received null"),
        ("{ sys: ['nope'] }", "unknown system info kind \"nope\""),
        ("{ get read() { throw new Error('of the script'); } }", "of the script"),
    ];
    let tests: String = cases
        .iter()
        .map(|(permissions, _)| format!("Deno.test('test', {{ permissions: {permissions} }}, () => {{}});\n"))
        .collect();
    let sandbox = Sandbox::new();
    sandbox.write("a_test.ts", format!("{tests}Deno.test('last', () => {{}});"));
    let output = sandbox.openkv(["test", "-A", "a_test.ts"]);
    assert_eq!(output.code, Some(1), "{}{}", output.stdout, output.stderr);
    for (permissions, message) in cases {
        assert!(output.stdout.contains(message), "{permissions}: {}", output.stdout);
    }
    assert!(output.stdout.contains("1 passed | 11 failed"), "{}", output.stdout);
}

#[test]
fn read_permission_accepts_file_urls() {
    let sandbox = Sandbox::new();
    sandbox.write("file", "text");
    let test = "Deno.test('x', { permissions: { read: [new URL('file', import.meta.url)] } }, () => {
        console.log(Deno.readTextFileSync('file'));
        Deno.readTextFileSync('a_test.ts');
    });";
    sandbox.write("a_test.ts", test);
    let output = sandbox.openkv(["test", "-A", "a_test.ts"]);
    assert!(output.stdout.contains("text\n"), "{}", output.stdout);
    assert!(output.stdout.contains("NotCapable: Requires read access to \"a_test.ts\""), "{}", output.stdout);
}

#[test]
fn output_of_child_processes_is_in_order() {
    let sandbox = Sandbox::new();
    let script = "Deno.test('x', async () => {
        console.log('before');
        const { success } = await new Deno.Command('echo', { args: ['from a program'], stdout: 'inherit' }).spawn().status;
        console.error('after', success);
    });";
    sandbox.write("a_test.ts", script);
    let expected = "running 1 test from ./a_test.ts\nx ...\n------- output -------\nbefore\nfrom a program\nafter true\n\
                    ----- output end -----\nx ... ok\n\nok | 1 passed | 0 failed\n\n";
    assert_eq!(stable(&sandbox.openkv(["test", "-A"]).stdout()), expected);
}

#[test]
fn other_commands_run_no_tests() {
    let script =
        "Deno.test('x', () => console.log('run')); Deno.test.only.each([1])('y', () => {}); Deno.bench('z', () => {});
        Deno.test.beforeAll(() => console.log('run')); Deno.test.sanitizer({ ops: true }); console.log('done');";
    assert_eq!(Sandbox::new().run(script).stdout(), "done\n");
}

#[test]
fn every_module_has_expected_output() {
    let modules = std::fs::read_dir(repository("tests/testing")).unwrap().map(|entry| entry.unwrap().path());
    for module in modules.filter(|path| path.to_string_lossy().ends_with("_test.ts")) {
        let results = Path::new(module.to_str().unwrap().strip_suffix("_test.ts").unwrap()).with_extension("out");
        assert!(results.exists(), "{}", results.display());
    }
}

const REPORTED: &str = "Deno.test('passes # 1', () => {});
Deno.test('fails <&>', () => { throw new Error('boom \\u0007\"'); });
Deno.test.ignore('is ignored', () => {});
Deno.test('has steps', async (t) => {
  await t.step('outer', async (t) => { await t.step('inner', () => {}); });
  await t.step('bad', () => { throw new Error('step'); });
});
console.log('not part of the report');";

#[test]
fn tap_reporter_prints_version_14() {
    let sandbox = Sandbox::new();
    sandbox.write("a_test.ts", REPORTED);
    sandbox.write("b_test.ts", "throw new Error('top level');");
    let output = sandbox.openkv(["test", "--reporter=tap"]);
    assert_eq!((output.code, output.stderr.as_str()), (Some(1), "error: Test failed\n"));
    let lines: Vec<_> = output.stdout.lines().filter(|line| !line.trim_start().starts_with('{')).collect();
    let expected = [
        "TAP version 14",
        "# ./a_test.ts",
        "ok 1 - passes \\# 1",
        "not ok 2 - fails <&>",
        "  ---",
        "  ...",
        "ok 3 - is ignored # SKIP",
        "# Subtest: has steps",
        "    ok 1 - inner",
        "    ok 2 - outer",
        "    not ok 3 - bad",
        "      ---",
        "      ...",
        "    1..3",
        "not ok 4 - has steps",
        "  ---",
        "  ...",
        "not ok 5 - ./b_test.ts (uncaught error)",
        "  ---",
        "  ...",
        "1..5",
    ];
    assert_eq!(lines, expected);
    assert!(output.stdout.contains(r#""message":"1 test step failed.""#));
    assert!(output.stdout.contains(r#""at":{"file":"./a_test.ts","line":2}"#), "{}", output.stdout);
}

#[test]
fn junit_report_is_well_formed() {
    let sandbox = Sandbox::new();
    sandbox.write("a_test.ts", REPORTED);
    sandbox.write("b_test.ts", "throw new Error('top level');");
    let output = sandbox.openkv(["test", "--reporter=dot", "--junit-path=made/report.xml"]);
    assert_eq!(output.code, Some(1));
    assert!(output.stdout.contains("FAILED | 1 passed"), "{}", output.stdout);
    let report = std::fs::read_to_string(sandbox.path("made/report.xml")).unwrap();
    assert!(!report.contains('\u{7}'), "{report}");
    for part in [
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"openkv test\" tests=\"8\" failures=\"3\" errors=\"1\" time=\"",
        "    <testsuite name=\"./a_test.ts\" tests=\"7\" disabled=\"1\" errors=\"0\" failures=\"3\">\n        <testcase name=\"passes # 1\" classname=\"./a_test.ts\" time=\"",
        "<testcase name=\"fails &lt;&amp;&gt;\" classname=\"./a_test.ts\"",
        "line=\"2\" col=\"6\">\n            <failure message=\"Error: boom &quot;\">Error: boom &quot;\n",
        "line=\"3\" col=\"11\">\n            <skipped/>\n        </testcase>\n",
        "<failure message=\"1 test step failed.\">1 test step failed.</failure>",
        "<testcase name=\"has steps &gt; outer &gt; inner\"",
        "    <testsuite name=\"./b_test.ts\" tests=\"1\" disabled=\"0\" errors=\"1\" failures=\"0\">\n",
        "<error message=\"(in promise) Error: top level\">(in promise) Error: top level\n",
        "    </testsuite>\n</testsuites>\n",
    ] {
        assert!(report.contains(part), "{part}\n{report}");
    }
    let stdout = sandbox.openkv(["test", "--reporter=junit", "--filter=passes", "a_test.ts"]).stdout();
    assert!(stdout.starts_with("<?xml") && stdout.ends_with("</testsuites>\n"), "{stdout}");
    let stdout = sandbox.openkv(["test", "--junit-path=-", "--filter=passes", "a_test.ts"]).stdout();
    assert!(stdout.contains("ok | 1 passed") && stdout.ends_with("</testsuites>\n"), "{stdout}");
    sandbox.write("file", "");
    let output = sandbox.openkv(["test", "--junit-path=file/report.xml", "--filter=passes", "a_test.ts"]);
    assert!(output.stderr.starts_with("failed to write the results of tests to \"file/report.xml\": "), "{output:?}");
}
