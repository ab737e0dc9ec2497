//! Workers: their errors, end, permissions and cleanup. Behaviour that scripts can check themselves is tested in
//! `tests/conformance/workers.ts`.

use std::process::Command;

use crate::support::{Output, Sandbox, repository};

/// Defines `start(source)`, which starts a worker that runs JavaScript.
const START: &str = "
    const start = (source) =>
        new Worker(`data:application/javascript,${encodeURIComponent(source)}`, { type: 'module' });
";

/// Runs a script that starts workers.
fn run(sandbox: &Sandbox, script: &str) -> Output {
    sandbox.run(&format!("{START}{script}"))
}

fn script(name: &str) -> String {
    repository("tests/workers").join(name).to_str().unwrap().to_owned()
}

/// Runs a script of `tests/workers` with flags and arguments. If Deno is installed, its result must be the same.
fn run_script(flags: &[&str], name: &str, args: &[&str]) -> (Option<i32>, String) {
    let sandbox = Sandbox::new();
    let script = script(name);
    let args = || flags.iter().copied().chain(["--no-prompt", &script]).chain(args.iter().copied());
    let ours = sandbox.openkv(args());
    let result = (ours.code, ours.stdout);
    if is_deno_there() {
        let mut deno = Command::new("deno");
        deno.args(["run", "--unstable-worker-options"]).args(args()).env("NO_COLOR", "1");
        let theirs = Output::of(deno, "");
        assert_eq!(result, (theirs.code, theirs.stdout), "{}{}", ours.stderr, theirs.stderr);
    }
    result
}

/// Returns whether Deno is installed in a release whose behaviour OpenKV follows.
fn is_deno_there() -> bool {
    let output = Command::new("deno").arg("--version").output();
    output.is_ok_and(|output| output.stdout.starts_with(b"deno 2.9."))
}

#[test]
fn worker_error_reaches_the_parent() {
    let thrown = r#"["Uncaught (in promise) TypeError: thrown by a worker","throws.ts",2,7,null]"#;
    let in_handler = r#"["Uncaught Error: cannot handle a message","handler.ts",3,9,null]"#;
    let missing = r#"["Module not found ","",0,0,null]"#;
    let global = |message| format!("global {message}\n");
    for (file, heard, global, code_if_global) in [
        ("./throws.ts", thrown, global("Uncaught (in promise) TypeError: thrown by a worker"), 0),
        ("./handler.ts", in_handler, global("Uncaught Error: cannot handle a message"), 0),
        // Errors of loading do not reach the global scope.
        ("./missing.ts", missing, String::new(), 1),
    ] {
        let handled = format!("worker {heard}\n");
        let unhandled = format!("{handled}{global}");
        assert_eq!(run_script(&["-A"], "parent.ts", &[file, "worker"]), (Some(0), handled));
        assert_eq!(run_script(&["-A"], "parent.ts", &[file, "global"]), (Some(code_if_global), unhandled.clone()));
        assert_eq!(run_script(&["-A"], "parent.ts", &[file, "nobody"]), (Some(1), unhandled));
    }
}

#[test]
fn worker_error_is_printed_with_its_name() {
    let output = Sandbox::new().openkv(["-A", &script("parent.ts"), "./throws.ts", "worker"]);
    let first = "error: Uncaught (in worker \"child\") (in promise) TypeError: thrown by a worker\n\
                 throw new TypeError(\"thrown by a worker\");\n      ^\n    at file://";
    assert!(output.stderr.starts_with(first), "{}", output.stderr);
    let output = Sandbox::new().openkv(["-A", &script("parent.ts"), "./missing.ts", "nobody"]);
    assert!(
        output.stderr.starts_with("error: Uncaught (in worker \"child\") Module not found \"file://"),
        "{}",
        output.stderr
    );
    assert!(
        output.stderr.contains("error: Uncaught (in promise) Error: Unhandled error in child worker."),
        "{}",
        output.stderr
    );
}

#[test]
fn unhandled_error_of_a_nested_worker_fails_its_ancestors() {
    let sandbox = Sandbox::new();
    let nested = "start(`new Worker(\"data:application/javascript,throw 1\", { type: 'module' })`)";
    let output = run(&sandbox, &format!("{nested}.onmessage = () => {{}};"));
    assert_eq!(output.code, Some(1), "{}", output.stderr);
    assert_eq!(output.stderr.matches("Unhandled error in child worker.").count(), 2, "{}", output.stderr);
    let output =
        run(&sandbox, &format!("{nested}.onerror = (event) => {{ event.preventDefault(); console.log('handled'); }};"));
    assert_eq!((output.code, output.stdout.as_str()), (Some(0), "handled\n"), "{}", output.stderr);
}

#[test]
fn worker_permissions_do_not_exceed_those_of_the_parent() {
    let sandbox = Sandbox::new();
    let file = sandbox.write("file.txt", "text").to_str().unwrap().to_owned();
    let directory = format!("--allow-read={}", sandbox.path("").to_str().unwrap().trim_end_matches('/'));
    let all = "read granted, write granted, net granted, env granted, sys granted, run granted, ffi granted, import granted, ";
    let read = "file read";
    let none = "file NotCapable";
    let escalation = "NotCapable: Can't escalate parent thread permissions";
    let granted = "read granted, file read";
    let everything = format!("{all}file read");
    let choices = [
        "undefined".into(),
        "\"inherit\"".into(),
        "\"none\"".into(),
        "{}".into(),
        "{\"read\":true}".into(),
        format!("{{\"read\":[\"{file}\"]}}"),
        format!("{{\"read\":[\"file://{file}\"]}}"),
        "{\"read\":\"inherit\",\"net\":false}".into(),
        "{\"net\":[\"example.com:80\"]}".into(),
        "{\"run\":[\"/bin/ls\"],\"env\":[\"HOME\"],\"sys\":[\"hostname\"]}".into(),
    ];
    let invalid = "true → TypeError: invalid type: boolean `true`, expected \"inherit\" or \"none\" or object\n\
                   \"some\" → TypeError: invalid value: string \"some\", expected \"inherit\" or \"none\" or object\n\
                   {\"read\":1} → TypeError: (deno.permissions.read) invalid type: integer `1`, expected \"inherit\" or boolean or string[]\n\
                   {\"read\":[1]} → TypeError: (deno.permissions.read) invalid type: integer `1`, expected a string\n";
    for (flag, states) in [
        ("--allow-all", [&everything, &everything, none, none, granted, read, read, granted, none, none]),
        ("--allow-read", [granted, granted, none, none, granted, read, read, granted, escalation, escalation]),
        (&directory, [read, read, none, none, escalation, read, read, read, escalation, escalation]),
        ("--deny-net", [none, none, none, none, escalation, escalation, escalation, none, escalation, escalation]),
    ] {
        let result = run_script(&[flag], "permissions.ts", &[&file]);
        let lines: String =
            choices.iter().zip(states).map(|(choice, states)| format!("{choice} → {states}\n")).collect();
        let lines = lines.replace(" → file", if flag == "--deny-net" { " → net denied, file" } else { " → file" });
        assert_eq!(result, (Some(0), format!("{lines}{invalid}")), "{flag}");
    }
}

#[test]
fn static_imports_of_a_worker_use_the_permissions_of_the_parent() {
    let sandbox = Sandbox::new();
    sandbox.write("worker.ts", "import { text } from './imported.ts'; postMessage(text); close();");
    sandbox.write("imported.ts", "import text from './text.txt' with { type: 'text' }; export { text };");
    sandbox.write("text.txt", "of a file");
    sandbox.write(
        "main.ts",
        "const options = { type: 'module', deno: { permissions: 'none' } };
        for (const url of [import.meta.resolve('./worker.ts'), `data:text/javascript,
            import text from '${import.meta.resolve('./text.txt')}' with { type: 'text' };
            postMessage(text);
            close();`, `data:text/javascript,
            const file = '${import.meta.resolve('./text.txt')}';
            await import(file, { with: { type: 'text' } }).catch((error) => postMessage(error.message.slice(0, 20)));
            close();`]) {
            const worker = new Worker(url, options);
            const { promise, resolve } = Promise.withResolvers();
            worker.onmessage = (event) => resolve(event.data);
            worker.onerror = (event) => { event.preventDefault(); resolve(event.message.slice(0, 20)); };
            console.log(await promise);
        }",
    );
    let allowed = sandbox.openkv(["--no-prompt", "--allow-read", "main.ts"]);
    assert_eq!(
        (allowed.code, allowed.stdout.as_str()),
        (Some(0), "of a file\nof a file\nRequires read access\n"),
        "{}",
        allowed.stderr
    );
    let denied = sandbox.openkv(["--no-prompt", "main.ts"]);
    let expected = "Requires read access\n".repeat(3);
    assert_eq!((denied.code, denied.stdout.as_str()), (Some(0), expected.as_str()), "{}", denied.stderr);
}

#[test]
fn process_lives_as_long_as_its_workers() {
    let sandbox = Sandbox::new();
    // The main module ends before the worker starts.
    let script = "start(`setTimeout(() => { console.log('still here'); close(); }, 50)`);";
    assert_eq!(run(&sandbox, script).stdout(), "still here\n");
}

#[test]
fn process_exit_ends_its_workers() {
    let sandbox = Sandbox::new();
    let script = "start(`postMessage(1); setInterval(() => {}, 10)`).onmessage = () => ";
    assert_eq!(run(&sandbox, &format!("{script} Deno.exit(3);")).code, Some(3));
    let output = run(&sandbox, &format!("{script} {{ throw new Error('thrown'); }};"));
    assert_eq!(output.code, Some(1), "{}", output.stderr);
    // The worker does not report that its database is closed.
    let busy = "start(`const kv = await Deno.openKv('db'); for (let i = 0; ; i++) { await kv.set(['i'], i); postMessage(i); }`)";
    let output = run(&sandbox, &format!("{busy}.onmessage = ({{ data }}) => {{ if (data > 20) Deno.exit(3); }};"));
    assert_eq!((output.code, output.stderr.as_str()), (Some(3), ""));
    assert!(!sandbox.path("db-wal").exists());
}

#[test]
fn terminate_interrupts_a_worker() {
    let sandbox = Sandbox::new();
    for busy in [
        "for (;;);",
        "for (;;) { try { for (;;); } finally { continue; } }",
        "Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);",
        "for (;;) await 1;",
        "const again = () => queueMicrotask(again); again();",
        "/(a+)+$/.test('a'.repeat(100) + 'b');",
        "new Worker('data:text/javascript,for (;;);', { type: 'module' }); for (;;);",
        "await new Promise(() => {});",
        "for (;;) structuredClone({ a: [1] });",
        "for (;;) new TextDecoder().decode(new TextEncoder().encode('a'));",
        "for (;;) await import('data:text/javascript,export default ' + Math.random());",
        "for (;;) { const error = new Error(); error.stack; }",
    ] {
        // The process would not end if the worker went on.
        let script = format!(
            "const worker = start({:?});
            worker.onmessage = () => worker.terminate();",
            format!("postMessage(1); {busy}")
        );
        assert_eq!(run(&sandbox, &script).stdout(), "", "{busy}");
    }
}

#[test]
fn terminate_at_any_time_leaves_the_process_intact() {
    let sandbox = Sandbox::new();
    let script = "
        const source = `
            const kv = await Deno.openKv('db');
            postMessage(1);
            kv.listenQueue(async (i) => { await kv.set(['handled', i], new TextEncoder().encode('a')); });
            for (let i = 0; ; i++) {
                await kv.enqueue(i);
                await fetch('data:,text').then((response) => response.text());
                for await (const _ of kv.list({ prefix: [] }));
            }`;
        for (let i = 0; i < 40; i++) {
            const worker = start(source);
            // Terminates the worker at every stage, from before its start to the middle of its work.
            for (let turns = 0; turns < i; turns++) await new Promise((resolve) => setTimeout(resolve, 1));
            worker.terminate();
        }
        console.log('ended');";
    assert_eq!(run(&sandbox, script).stdout(), "ended\n");
    assert!(!sandbox.path("db-wal").exists());
}

#[test]
fn worker_checkpoints_its_database_when_it_ends() {
    for ending in [
        "close();",
        "Deno.exit(2);",
        "throw 1;",
        "postMessage(1);",
        "postMessage(1); for (;;);",
        "kv.listenQueue(() => { postMessage(1); for (;;); }); await kv.enqueue(1);",
        "kv.listenQueue(() => { postMessage(1); return new Promise(() => {}); }); await kv.enqueue(1);",
        "for await (const _ of kv.watch([['a']])) postMessage(1);",
        "await import('./missing.ts');",
    ] {
        let sandbox = Sandbox::new();
        let source =
            format!("const kv = await Deno.openKv('db'); await kv.set(['a'], 1); await kv.get(['a']); {ending}");
        let script = format!(
            "const worker = start({source:?});
            worker.onmessage = () => worker.terminate();
            worker.onerror = (event) => event.preventDefault();"
        );
        let output = run(&sandbox, &script);
        assert_eq!(output.code, Some(0), "{ending}: {}", output.stderr);
        assert!(sandbox.path("db").exists() && !sandbox.path("db-wal").exists(), "{ending}");
    }
}

#[test]
fn terminated_worker_returns_its_messages_to_the_queue() {
    let sandbox = Sandbox::new();
    let script = "
        const kv = await Deno.openKv('db');
        const worker = start(`
            const kv = await Deno.openKv('db');
            kv.listenQueue(() => { postMessage(1); return new Promise(() => {}); });
            await kv.enqueue('a message');`);
        await new Promise((resolve) => worker.onmessage = resolve);
        worker.terminate();
        // The handler of the worker has not finished.
        await new Promise((resolve) => kv.listenQueue(resolve));
        console.log('delivered again');
        kv.close();";
    assert_eq!(run(&sandbox, script).stdout(), "delivered again\n");
}

#[test]
fn worker_threads_end_after_terminate() {
    let sandbox = Sandbox::new();
    let script = "
        const threads = () => Number(/Threads:\\s+(\\d+)/.exec(Deno.readTextFileSync('/proc/self/status'))[1]);
        const before = threads();
        for (let i = 0; i < 60; i++) {
            const worker = start(i % 2 ? 'postMessage(1)' : 'postMessage(1); for (;;);');
            await new Promise((resolve) => worker.onmessage = resolve);
            worker.terminate();
        }
        while (threads() > before + 5) await new Promise((resolve) => setTimeout(resolve, 1));
        console.log('ended');";
    if cfg!(target_os = "linux") {
        assert_eq!(run(&sandbox, script).stdout(), "ended\n");
    }
}

#[test]
fn out_of_memory_ends_the_process_as_on_deno() {
    let sandbox = Sandbox::new();
    sandbox.write("main.ts", format!("{START} start('const a = []; for (;;) a.push(new Array(1e5).fill(1.5));')"));
    let output = sandbox.openkv(["-A", "--v8-flags=--max-old-space-size=50", "main.ts"]);
    assert_ne!(output.code, Some(0), "{}", output.stderr);
    assert!(output.stderr.contains("JavaScript out of memory"), "{}", output.stderr);
}

#[test]
fn worker_in_a_test_does_not_leak() {
    let sandbox = Sandbox::new();
    sandbox.write(
        "main_test.ts",
        format!(
            "{START}
            Deno.test('talks to a worker', async () => {{
                const worker = start('onmessage = ({{ data }}) => postMessage(data)');
                worker.postMessage(1);
                await new Promise((resolve) => worker.onmessage = resolve);
                worker.terminate();
            }});"
        ),
    );
    let output = sandbox.openkv(["test", "-A", "main_test.ts"]);
    assert_eq!(output.code, Some(0), "{}{}", output.stdout, output.stderr);
}

#[test]
fn heap_limit_too_low_to_start_a_thread_is_raised() {
    let sandbox = Sandbox::new();
    let script = "
        import { Worker } from 'node:worker_threads';
        for (const limit of [1, 4, 1e15]) {
            const resourceLimits = { maxOldGenerationSizeMb: limit, maxYoungGenerationSizeMb: limit, stackSizeMb: limit };
            const worker = new Worker('require(\\'http\\')', { eval: true, resourceLimits });
            console.log(await new Promise((resolve) => worker.on('exit', resolve)));
        }";
    assert_eq!(sandbox.run(script).stdout(), "0\n0\n0\n");
}
