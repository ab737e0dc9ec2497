//! `openkv repl`: through a pipe, and through a terminal.

use crate::support::Sandbox;

/// Returns the output of the REPL for lines of input, without its greeting.
fn printed(lines: &[&str]) -> String {
    Sandbox::new().openkv_reading(&lines.join("\n"), ["repl", "--quiet", "-A"]).stdout()
}

/// Asserts what the REPL prints for each line.
#[track_caller]
fn assert_dialogue(dialogue: &[(&str, &str)]) {
    let (lines, expected): (Vec<_>, Vec<_>) = dialogue.iter().copied().unzip();
    assert_eq!(printed(&lines), expected.concat());
}

#[test]
fn greets_and_exits_at_end_of_input() {
    let greeting = format!("OpenKV {}\nexit using ctrl+d, ctrl+c, or close()\n", env!("CARGO_PKG_VERSION"));
    assert_eq!(Sandbox::new().openkv_reading("1 + 1", ["repl"]).stdout(), format!("{greeting}2\n"));
    let alone = Sandbox::new().openkv_reading("Deno.env.get('NO_COLOR')", [""; 0]).stdout();
    assert!(alone.starts_with(&greeting) && alone.ends_with("\n\"1\"\n"), "all permissions are granted: {alone}");
}

#[test]
fn evaluates_typescript_and_inspects_the_results() {
    assert_dialogue(&[
        ("1 + 1", "2\n"),
        ("const a: number = 1", "undefined\n"),
        ("interface Gone { a: string }", "undefined\n"),
        ("enum E { A }", "undefined\n"),
        ("E.A as number", "0\n"),
        ("({ a, b: [null, 'text', 1n] })", "{ a: 1, b: [ null, \"text\", 1n ] }\n"),
        ("{ a: new Map([[1, 2]]) }", "{ a: Map(1) { 1 => 2 } }\n"),
        ("{ let b = 3; b }", "3\n"),
        ("new Proxy({ a: 1 }, { get() { console.log('trap'); } })", "{ a: 1 }\n"),
        ("null", "null\n"),
        ("-0", "-0\n"),
        ("", "undefined\n"),
        ("console.log('printed'), 5", "printed\n5\n"),
    ]);
}

#[test]
fn awaits_and_redeclares() {
    assert_dialogue(&[
        ("const a = await Promise.resolve(1)", "undefined\n"),
        ("const a = await new Promise((resolve) => setTimeout(resolve, 1, 2))", "undefined\n"),
        ("const a = 'third'; class C {}", "undefined\n"),
        ("class C { b = a }", "undefined\n"),
        ("new C()", "C { b: \"third\" }\n"),
        ("Promise.resolve(4)", "Promise { 4 }\n"),
        ("await new Promise(() => {})", "the promise never resolves: no pending operation could resolve it\n"),
    ]);
}

#[test]
fn remembers_the_last_result_and_the_last_error() {
    assert_dialogue(&[
        ("40 + 2", "42\n"),
        ("_", "42\n"),
        ("throw new RangeError('late')", "Uncaught RangeError: late\n    at <anonymous>:1:28\n"),
        ("_error.message", "\"late\"\n"),
        ("_ = 'mine'", "Last evaluation result is no longer saved to _.\n\"mine\"\n"),
        ("7", "7\n"),
        ("_", "\"mine\"\n"),
    ]);
}

#[test]
fn opens_a_database() {
    assert_dialogue(&[
        ("const kv = await Deno.openKv(':memory:')", "undefined\n"),
        ("await kv.set(['a'], { b: 1 })", "{ ok: true, versionstamp: \"00000000000000010000\" }\n"),
        ("(await kv.get(['a'])).value", "{ b: 1 }\n"),
        ("for await (const entry of kv.list({ prefix: [] })) console.log(entry.key)", "[ \"a\" ]\nundefined\n"),
        ("kv.close()", "undefined\n"),
        ("await kv.get(['a']).catch((error) => error.name)", "\"BadResource\"\n"),
    ]);
}

#[test]
fn session_continues_after_an_error() {
    assert_dialogue(&[
        ("throw { code: 5 }", "Uncaught { code: 5 }\n"),
        ("missing", "Uncaught ReferenceError: missing is not defined\n    at <anonymous>:1:22\n"),
        ("undeclared = 1", "Uncaught ReferenceError: undeclared is not defined\n    at <anonymous>:1:33\n"),
        ("return", "Uncaught SyntaxError: Illegal return statement\n"),
        ("foo bar", "parse error: Expected ';', '}' or <eof> at 1:5\n"),
        ("reportError(new Error('reported'))", "Uncaught Error: reported\n    at <anonymous>:1:34\nundefined\n"),
        ("void Promise.reject('rejected')", "Uncaught \"rejected\"\nundefined\n"),
        ("setTimeout(() => { throw 'timer' }, 1); await new Promise((resolve) => setTimeout(resolve, 5))", ""),
        ("1", "Uncaught \"timer\"\nundefined\n1\n"),
    ]);
}

#[test]
fn statement_spans_several_lines() {
    let output = printed(&[
        "function add(a: number,",
        "  b: number) { // sum",
        "  return a + b;",
        "}",
        "add(1, 2)",
        "`a",
        "b`",
        "1 +",
    ]);
    assert_eq!(output, "undefined\n3\n\"a\\nb\"\nparse error: Expression expected at 1:4\n");
}

#[test]
fn imports_statically() {
    let sandbox = Sandbox::new();
    sandbox.write("lib/a.ts", "import { b } from './b.ts'; export const a: number = b + 1; export default 'default';");
    sandbox.write("lib/b.ts", "export const b = 1;");
    sandbox.write("map.json", "{ \"imports\": { \"mapped\": \"./lib/b.ts\" } }");
    let input = "import text, { a as one } from './lib/a.ts'\n[text, one]\nimport 'mapped'\nimport './missing.ts'";
    let output = sandbox.openkv_reading(input, ["repl", "-q", "--allow-read", "--import-map=map.json"]).stdout();
    let expected =
        "undefined\n[ \"default\", 2 ]\n[Module: null prototype] { b: 1 }\nUncaught TypeError: Module not found ";
    assert!(output.starts_with(expected), "{output}");
}

#[test]
fn exits_when_the_script_exits() {
    let sandbox = Sandbox::new();
    assert_eq!(sandbox.openkv_reading("1\nclose()\n2", ["repl", "-q"]).stdout(), "1\n");
    let output = sandbox
        .openkv_reading("addEventListener('unload', () => console.log('unload'))\nDeno.exit(3)\n2", ["repl", "-q"]);
    assert_eq!((output.code, output.stdout.as_str()), (Some(3), "undefined\nunload\n"));
    let output = sandbox.openkv_reading("Deno.exitCode = 4", ["repl", "-q"]);
    assert_eq!((output.code, output.stdout.as_str()), (Some(4), "4\n"));
}

#[test]
fn evaluates_files_and_code_at_startup() {
    let sandbox = Sandbox::new();
    sandbox.write("first.ts", "const first: number = 1;");
    sandbox.write("wrong.ts", "throw 'wrong';");
    let args = ["repl", "-q", "--eval-file=first.ts,wrong.ts,missing.ts", "--eval", "const second = first + 1;"];
    let output = sandbox.openkv_reading("[first, second]", args).stdout();
    let lines: Vec<_> = output.lines().collect();
    assert_eq!(lines[0], "Error in --eval-file \"wrong.ts\": Uncaught \"wrong\"");
    assert!(lines[1].starts_with("Error in --eval-file \"missing.ts\": "), "{output}");
    assert_eq!(lines[2..], ["[ 1, 2 ]"]);
}

#[test]
fn nothing_is_allowed_without_a_flag() {
    let output = Sandbox::new().openkv_reading("Deno.env.get('HOME')\nDeno.mainModule", ["repl", "-q"]).stdout();
    assert!(output.starts_with("Uncaught NotCapable: Requires env access to \"HOME\""), "{output}");
    assert!(output.ends_with("/$deno$repl.mts\"\n"), "the main module is the same as in Deno: {output}");
}

#[cfg(unix)]
mod terminal {
    use rexpect::session::{PtySession, spawn_command};

    use crate::support::{Sandbox, TIMEOUT};

    const UP: &str = "\x1b[A";

    /// A user at a terminal.
    struct Terminal(PtySession);

    impl Terminal {
        fn open(sandbox: &Sandbox) -> Self {
            let mut command = sandbox.command(["repl", "-A"]);
            command.env("TERM", "xterm");
            let mut terminal = Self(spawn_command(command, Some(TIMEOUT.as_millis() as u64)).unwrap());
            terminal.expect("close()\r\n");
            terminal.expect("> ");
            terminal
        }

        fn expect(&mut self, text: &str) {
            self.0.exp_string(text).unwrap();
        }

        /// Presses keys.
        fn press(&mut self, keys: &str) {
            self.0.send(keys).unwrap();
            self.0.flush().unwrap();
        }

        /// Types a line, and waits for its result and the next prompt.
        fn enter(&mut self, line: &str, result: &str) {
            self.press(&format!("{line}\r"));
            self.expect(&format!("{result}\r\n"));
            self.expect("> ");
        }

        fn press_ctrl(&mut self, letter: char) {
            self.0.send_control(letter).unwrap();
        }

        /// Asserts that the session exits with a code. Returns its last output.
        #[track_caller]
        fn assert_exits(mut self, code: i32) -> String {
            let rest = self.0.exp_eof().unwrap();
            let status = format!("{:?}", self.0.process().wait().unwrap());
            assert!(status.starts_with("Exited") && status.ends_with(&format!(", {code})")), "{status}");
            rest
        }
    }

    #[test]
    fn history_is_recalled_and_kept() {
        let sandbox = Sandbox::new();
        let mut terminal = Terminal::open(&sandbox);
        terminal.enter("const kv = await Deno.openKv(':memory:')", "undefined");
        terminal.enter("await kv.set(['a'], { b: 1 })", "versionstamp: \"00000000000000010000\" }");
        terminal.enter("(await kv.get(['a'])).value", "{ b: 1 }");
        terminal.enter(UP, "{ b: 1 }");
        terminal.enter(&UP.repeat(2), "versionstamp: \"00000000000000020000\" }");
        terminal.press_ctrl('d');
        terminal.assert_exits(0);

        let mut terminal = Terminal::open(&sandbox);
        terminal.enter("const kv = 'another'", "undefined");
        terminal.enter(&UP.repeat(2), "Uncaught TypeError: kv.set is not a function");
        terminal.press_ctrl('d');
        terminal.assert_exits(0);
    }

    #[test]
    fn tab_completes_globals_properties_and_declarations() {
        let mut terminal = Terminal::open(&Sandbox::new());
        terminal.enter("Deno.openK\t", "[AsyncFunction: openKv]");
        terminal.enter("structuredC\t.name", "\"structuredClone\"");
        terminal.enter("const declaredHere = { inner: { deep: 'found' } }", "undefined");
        terminal.enter("declaredH\t.inn\t.de\t", "\"found\"");
        terminal.press_ctrl('d');
        terminal.assert_exits(0);
    }

    #[test]
    fn open_brackets_continue_on_the_next_line() {
        let mut terminal = Terminal::open(&Sandbox::new());
        terminal.press("[1,\r");
        terminal.enter("2]", "[ 1, 2 ]");
        terminal.press_ctrl('d');
        terminal.assert_exits(0);
    }

    #[test]
    fn ctrl_c_interrupts_running_and_pending_code() {
        let mut terminal = Terminal::open(&Sandbox::new());
        for code in ["while (true)", "await new Promise((resolve) => setTimeout(resolve, 1e9))"] {
            terminal.press(&format!("console.log('runs'); {code};\r"));
            terminal.expect("runs\r\n");
            terminal.press_ctrl('c');
            terminal.expect("interrupted\r\n");
            terminal.expect("> ");
            terminal.enter("6 * 7", "42");
        }
        // The first use of a timer, which loads an extension, may have been interrupted.
        terminal.enter("await new Promise((resolve) => setTimeout(resolve, 1, 'later'))", "\"later\"");
        terminal.press("unfinished");
        terminal.press_ctrl('c');
        terminal.expect("press ctrl+c again to exit\r\n");
        terminal.expect("> ");
        terminal.press_ctrl('c');
        terminal.assert_exits(0);
    }

    #[test]
    fn event_loop_runs_while_the_user_types() {
        let mut terminal = Terminal::open(&Sandbox::new());
        terminal.press("setTimeout(() => console.log('tick'), 1); 'set'\r");
        terminal.expect("tick\r\n");
        terminal.press("setTimeout(() => Deno.exit(5), 1)\r");
        terminal.assert_exits(5);
    }

    #[test]
    fn endless_timer_does_not_block_the_exit() {
        let sandbox = Sandbox::new();
        let mut terminal = Terminal::open(&sandbox);
        // Waits until the next line is being read, when the terminal is in raw mode.
        let is_read = "new Deno.Command('stty', { args: ['-a'], stdin: 'inherit' }).outputSync().stdout";
        let is_read = format!("new TextDecoder().decode({is_read}).includes('-icanon')");
        terminal.press(&format!(
            "setInterval(() => {{ if (!{is_read}) return; console.log('runs'); while (true); }}); 'set'\r"
        ));
        terminal.expect("runs\r\n");
        terminal.press_ctrl('d');
        let rest = terminal.assert_exits(0);
        assert!(!rest.contains("terminated"), "{rest}");
    }
}
