//! `--watch`.

use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::sync::mpsc::{Receiver, channel};
use std::thread;

use crate::support::{Running, Sandbox, TIMEOUT};

/// A running process, and the lines that it prints to stdout and stderr.
struct Session {
    process: Running,
    lines: Receiver<String>,
}

impl Session {
    fn start(sandbox: &Sandbox, args: &[&str]) -> Self {
        let mut command = sandbox.command(args);
        // One pipe for both streams keeps the order of the lines.
        let (output, input) = std::io::pipe().unwrap();
        command.stdin(Stdio::null()).stdout(input.try_clone().unwrap()).stderr(input);
        let process = Running(command.spawn().unwrap());
        let (sender, lines) = channel();
        thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                let _ = sender.send(line);
            }
        });
        Self { process, lines }
    }

    /// Waits for a line with this beginning. Returns it, after the lines that were skipped.
    #[track_caller]
    fn until(&self, beginning: &str) -> Vec<String> {
        let mut seen = Vec::new();
        loop {
            match self.lines.recv_timeout(TIMEOUT) {
                Ok(line) => seen.push(line),
                Err(error) => panic!("{error} while waiting for {beginning:?}, after {seen:#?}"),
            }
            if seen.last().unwrap().starts_with(beginning) {
                return seen;
            }
        }
    }

    #[track_caller]
    fn finished(&self) -> Vec<String> {
        self.until("Watcher Process finished. Restarting on file change...")
    }

    #[cfg(unix)]
    fn interrupt(&mut self) -> Option<i32> {
        // SAFETY: the process is a child that has not been waited for.
        assert_eq!(unsafe { libc::kill(self.process.0.id() as i32, libc::SIGINT) }, 0);
        self.process.0.wait().unwrap().code()
    }
}

#[test]
fn change_of_a_module_restarts_the_script() {
    let sandbox = Sandbox::new();
    sandbox.write("a.ts", "export const a: number = 1;");
    sandbox.write("later.ts", "export const b: number = 1;");
    sandbox.write("other.ts", "");
    sandbox.write(
        "main.ts",
        "import { a } from './a.ts'; const { b } = await import(Deno.args[0]);
        console.log('main', a, b, Deno.env.get('SET'), Deno.cwd() === import.meta.dirname);
        Deno.env.set('SET', '1'); Deno.chdir('/'); addEventListener('unload', () => console.log('unload'));",
    );
    let session = Session::start(&sandbox, &["run", "-A", "--watch", "main.ts", "./later.ts"]);
    assert_eq!(session.until("main"), ["Watcher Process started.", "main 1 1 undefined true"]);
    session.finished();

    // Only the second change is of a module.
    sandbox.write("other.ts", "export {};");
    sandbox.write("a.ts", "export const a: number = 2;");
    let change = session.until("Watcher Restarting! File change detected: ").pop().unwrap();
    assert!(change.ends_with("a.ts\""), "{change}");
    session.until("main 2 1 1 true");
    session.finished();

    // A module that is replaced, as many editors do.
    sandbox.write("new.ts", "export const b: number = 2;");
    std::fs::rename(sandbox.path("new.ts"), sandbox.path("later.ts")).unwrap();
    session.until("main 2 2 1 true");
    session.finished();
    sandbox.write("later.ts", "export const b: number = 3;");
    session.until("main 2 3 1 true");
    session.finished();
}

#[test]
fn failed_script_runs_again_after_a_change() {
    let sandbox = Sandbox::new();
    let session = Session::start(&sandbox, &["run", "--watch", "main.ts"]);
    let failed = "Watcher Process failed. Restarting on file change...";
    assert!(session.until(failed)[1].starts_with("error: Module not found \"file://"));
    sandbox.write("main.ts", "import { a } from './a.ts'; console.log('a is', a);");
    session.until("error: Module not found");
    session.until(failed);
    sandbox.write("a.ts", "export const a = ;");
    session.until(failed);
    sandbox.write("a.ts", "export const a = 1; throw new Error('thrown');");
    session.until("error: Uncaught (in promise) Error: thrown");
    session.until(failed);
    sandbox.write("a.ts", "export const a = 2;");
    session.until("a is 2");
    session.finished();
}

#[test]
fn endless_script_is_stopped_and_its_databases_are_closed() {
    let sandbox = Sandbox::new();
    let script = |number: u32| {
        format!(
            "const exists = (name: string) => {{ try {{ return Deno.statSync(name).isFile }} catch {{ return false }} }};
            console.log('{number} finds', exists('kv'), exists('kv-wal'), exists('kv-shm'));
            const kv = await Deno.openKv('kv');
            await kv.set(['run'], {number});
            kv.listenQueue(() => {{}});
            Deno.serve({{ port: 0, onListen() {{}} }}, () => new Response());
            addEventListener('unload', () => console.log('{number} unloads'));
            console.log('{number} runs', exists('kv-wal'));"
        )
    };
    sandbox.write("main.ts", script(1));
    let session = Session::start(&sandbox, &["run", "-A", "--watch", "main.ts"]);
    session.until("1 finds false false false");
    session.until("1 runs true");
    sandbox.write("main.ts", script(2));
    session.until("1 unloads");
    session.until("2 finds true false false");
    session.until("2 runs true");
    sandbox.write("main.ts", "console.log((await (await Deno.openKv('kv')).get(['run'])).value);");
    session.until("2 unloads");
    session.until("2");
}

#[test]
fn script_that_never_yields_is_terminated() {
    let sandbox = Sandbox::new();
    sandbox.write("main.ts", "console.log('first'); addEventListener('unload', () => { for (;;); }); for (;;);");
    let session = Session::start(&sandbox, &["run", "--watch", "main.ts"]);
    session.until("first");
    sandbox.write("main.ts", "console.log('second');");
    session.until("second");
    session.finished();
}

#[test]
fn exit_ends_the_script_but_not_the_process() {
    let sandbox = Sandbox::new();
    for script in [
        "Deno.exit(3)",
        "setTimeout(() => Deno.exit(3), 1); setInterval(() => {}, 1000)",
        "setInterval(() => {}, 1000); await new Promise((resolve) => setTimeout(resolve, 1)); Deno.exit(3)",
        "const server = Deno.serve({ port: 0, onListen: ({ port }) => void fetch(`http://127.0.0.1:${port}/`) },
            () => Deno.exit(3))",
        "Deno.exitCode = 3",
    ] {
        sandbox.write("main.ts", script);
        let session = Session::start(&sandbox, &["run", "-A", "--watch", "main.ts"]);
        session.until("Watcher Process finished with exit code 3. Restarting on file change...");
        sandbox.write("main.ts", "console.log('next');");
        session.until("next");
        session.finished();
    }
}

#[cfg(unix)]
#[test]
fn interrupt_ends_the_process() {
    let sandbox = Sandbox::new();
    for script in [
        "console.log('runs');",
        "console.log('runs'); setInterval(() => {}, 1000);",
        "console.log('runs'); for (;;);",
        "Deno.addSignalListener('SIGINT', () => {}); console.log('runs');",
    ] {
        sandbox.write("main.ts", script);
        let mut session = Session::start(&sandbox, &["run", "--watch", "main.ts"]);
        session.until("runs");
        assert_eq!(session.interrupt(), Some(130), "{script}");
    }
    let database =
        "const kv = await Deno.openKv('kv'); await kv.set([1], 1); console.log('runs'); kv.listenQueue(() => {});";
    sandbox.write("main.ts", database);
    let mut session = Session::start(&sandbox, &["run", "-A", "--watch", "main.ts"]);
    session.until("runs");
    assert_eq!(session.interrupt(), Some(130));
    assert!(sandbox.path("kv").exists() && !sandbox.path("kv-wal").exists(), "the database is one complete file");
}

#[test]
fn listed_paths_and_configuration_are_watched() {
    let sandbox = Sandbox::new();
    sandbox.write("a.ts", "");
    sandbox.write("data/x.txt", "");
    sandbox.write("data/excluded/x.txt", "");
    sandbox.write("one.txt", "");
    sandbox.write(".env", "A=1\nHOME=never\n");
    sandbox.write("deno.json", "{}");
    sandbox
        .write("main.ts", "import './a.ts'; console.log('A is', Deno.env.get('A'), Deno.env.get('HOME') !== 'never');");
    let session = Session::start(
        &sandbox,
        &["run", "-E", "--env-file", "--watch=data,one.txt", "--watch-exclude=a.ts,data/ex*", "main.ts"],
    );
    session.until("A is 1 true");
    session.finished();
    let restarted = |changed: &str| {
        let line = session.until("Watcher Restarting! File change detected: ").pop().unwrap();
        assert!(line.ends_with(&format!("{changed}\"")), "{line}");
        session.finished()
    };
    sandbox.write("a.ts", "export {};");
    sandbox.write("data/excluded/x.txt", "changed");
    sandbox.write("data/x.txt", "changed");
    restarted("data/x.txt");
    sandbox.write("one.txt", "changed");
    restarted("one.txt");
    sandbox.write("deno.json", r#"{ "imports": {} }"#);
    restarted("deno.json");
    sandbox.write(".env", "A=2\nHOME=never\n");
    assert!(restarted(".env").contains(&"A is 2 true".into()));
}

#[test]
fn quiet_hides_the_messages_of_the_watcher() {
    let sandbox = Sandbox::new();
    sandbox.write("main.ts", "console.log('first');");
    let session = Session::start(&sandbox, &["run", "-q", "--watch", "main.ts"]);
    assert_eq!(session.until("first"), ["first"]);
    sandbox.write("main.ts", "console.log('second');");
    assert_eq!(session.until("second"), ["second"]);
}

#[test]
fn tests_of_changed_modules_run_again() {
    let sandbox = Sandbox::new();
    sandbox.write("a.ts", "export const a = 1;");
    sandbox.write("a_test.ts", "import { a } from './a.ts'; Deno.test(`a is ${a}`, () => { if (a === 2) throw 1; });");
    sandbox.write("b_test.ts", "Deno.test('b', () => {});");
    let session = Session::start(&sandbox, &["test", "--watch"]);
    let finished = "Watcher Test finished. Restarting on file change...";
    let summary = |seen: &[String]| seen.iter().find(|line| line.contains(" passed |")).cloned().unwrap();
    let first = session.until(finished);
    assert_eq!(first[0], "Watcher Test started.");
    assert!(summary(&first).starts_with("ok | 2 passed"), "{first:?}");
    sandbox.write("a.ts", "export const a = 2;");
    let second = session.until("Watcher Test failed. Restarting on file change...");
    assert!(summary(&second).starts_with("FAILED | 0 passed | 1 failed"), "{second:?}");
    assert!(second.contains(&"error: Test failed".into()), "{second:?}");
    sandbox.write("c_test.ts", "Deno.test('c', () => {});");
    let third = session.until(finished);
    assert!(summary(&third).starts_with("ok | 1 passed"), "{third:?}");
    // A test that never ends is stopped.
    sandbox.write("c_test.ts", "Deno.test('c', () => { console.log('loops'); for (;;); });");
    session.until("loops");
    sandbox.write("c_test.ts", "Deno.test('c', () => {});");
    let mut last = session.until(finished);
    // The summary of the terminated run comes first.
    last.reverse();
    assert!(summary(&last).starts_with("ok | 1 passed"), "{last:?}");
}

#[test]
fn flags_of_the_watcher_have_no_effect_without_it() {
    let sandbox = Sandbox::new();
    sandbox.write("main.ts", "console.log('runs');");
    assert_eq!(sandbox.openkv(["run", "--watch-exclude=a", "--no-clear-screen", "main.ts"]).stdout(), "runs\n");
    let stdin = sandbox.openkv_reading("console.log('stdin')", ["run", "--watch", "-"]);
    assert_eq!(stdin.stdout(), "stdin\n");
    let stderr = sandbox.openkv(["run", "--watch", "--watch-exclude=!./a/b,./a", "main.ts"]).stderr();
    assert!(stderr.starts_with("error: The negation of '!./a/b' is never reached"), "{stderr}");
}
