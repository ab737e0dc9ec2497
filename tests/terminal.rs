//! The mode of the terminal is restored, however the process that changed it exits.

use rexpect::session::{PtySession, spawn_command};

use crate::support::{Sandbox, TIMEOUT};

/// Sets the terminal to raw mode, and prints its mode.
const RAW: &str = "Deno.stdin.setRaw(true);
    const stty = () => new Deno.Command('stty', { args: ['-g'], stdin: 'inherit' }).outputSync().stdout;
    console.log(new TextDecoder().decode(stty()));";

/// Runs `openkv` in a terminal, and prints the mode of the terminal before and afterwards.
fn at_terminal(sandbox: &Sandbox, args: &[&str]) -> PtySession {
    let openkv = sandbox.command(args);
    let mut shell = std::process::Command::new("sh");
    shell.args(["-c", "stty -g; \"$0\" \"$@\"; stty -g"]).arg(openkv.get_program()).args(openkv.get_args());
    shell.current_dir(sandbox.path("")).env("TERM", "xterm");
    for (name, value) in openkv.get_envs() {
        match value {
            Some(value) => shell.env(name, value),
            None => shell.env_remove(name),
        };
    }
    spawn_command(shell, Some(TIMEOUT.as_millis() as u64)).unwrap()
}

/// Asserts that the terminal was in raw mode, and that its mode is restored.
#[track_caller]
fn assert_restored(mut session: PtySession, shown_first: &str, case: &str) {
    let output = format!("{shown_first}{}", session.exp_eof().unwrap());
    let modes: Vec<_> = output.split_whitespace().filter(|word| word.matches(':').count() > 20).collect();
    let [before, raw, after] = modes[..] else { panic!("{case}: {output}") };
    assert_ne!(before, raw, "{case}");
    assert_eq!(before, after, "{case}");
}

#[test]
fn raw_mode_is_reset_after_a_script() {
    for code in [
        "",
        "Deno.exit(3);",
        "Deno.exitCode = 3;",
        "throw new Error('uncaught');",
        "Promise.reject('unhandled');",
        "setTimeout(() => { throw 'timer'; }, 1);",
        "await new Promise(() => {});",
        "onunload = () => Deno.exit(4);",
        "Deno.stdin.setRaw(true, { cbreak: true });",
        "Deno.stdin.close();",
        "Deno.stdin.setRaw(false); Deno.stdin.setRaw(true);",
        "const tty = await Deno.open('/dev/tty', { read: true }); tty.setRaw(true); tty.setRaw(false);",
        "Deno.addSignalListener('SIGTERM', () => Deno.exit(5)); Deno.kill(Deno.pid, 'SIGTERM'); setTimeout(() => {}, 1e9);",
    ] {
        let sandbox = Sandbox::new();
        sandbox.write("main.ts", format!("{RAW} {code}"));
        assert_restored(at_terminal(&sandbox, &["run", "-A", "main.ts"]), "", code);
    }
    assert_restored(at_terminal(&Sandbox::new(), &["eval", RAW]), "", "eval");
}

#[test]
fn raw_mode_of_another_terminal_file_is_reset() {
    let sandbox = Sandbox::new();
    let script = RAW.replace("Deno.stdin.setRaw", "(await Deno.open('/dev/tty', { read: true })).setRaw");
    assert_restored(at_terminal(&sandbox, &["eval", &script]), "", "/dev/tty");
}

#[test]
fn output_in_raw_mode_is_processed() {
    let sandbox = Sandbox::new();
    let mut session = at_terminal(&sandbox, &["eval", "Deno.stdin.setRaw(true); console.log('one\\ntwo')"]);
    session.exp_string("one\r\ntwo\r\n").unwrap();
    session.exp_eof().unwrap();
}

#[test]
fn raw_mode_is_reset_after_tests() {
    for code in [
        "Deno.test('passes', () => {});",
        "Deno.test('fails', () => { throw 'failed'; });",
        "Deno.test({ name: 'exits', sanitizeExit: false, fn: () => Deno.exit(3) });",
        "Deno.exit(4);",
    ] {
        let sandbox = Sandbox::new();
        sandbox.write("first_test.ts", format!("{RAW} {code}"));
        // The terminal is already in raw mode when this module runs.
        sandbox.write("second_test.ts", "Deno.stdin.setRaw(true);");
        assert_restored(at_terminal(&sandbox, &["test", "-A"]), "", code);
    }
}

#[test]
fn raw_mode_is_reset_after_the_repl() {
    let sandbox = Sandbox::new();
    let mut session = at_terminal(&sandbox, &["repl", "-q", "-A", "--eval", RAW]);
    let shown = session.exp_string("> ").unwrap();
    session.send_control('d').unwrap();
    assert_restored(session, &shown, "the end of the input");

    // The line editor changes the mode while the user types.
    let code = "const mode = () => {
            const stty = new Deno.Command('stty', { args: ['-g'], stdin: 'inherit' });
            return new TextDecoder().decode(stty.outputSync().stdout);
        };
        const before = mode();
        setInterval(() => { if (mode() !== before) { console.log(mode()); Deno.exit(3); } });";
    assert_restored(at_terminal(&sandbox, &["repl", "-q", "-A", "--eval", code]), "", "Deno.exit");
}
