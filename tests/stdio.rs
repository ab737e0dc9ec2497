//! Standard input, output and error, and the exit of a process.

use crate::support::Sandbox;

/// Runs a script with text on standard input.
fn reading(input: &str, script: &str) -> String {
    let sandbox = Sandbox::new();
    sandbox.write("main.ts", script);
    sandbox.openkv_reading(input, ["main.ts"]).stdout()
}

#[test]
fn standard_input_is_read() {
    let pieces = "const piece = new Uint8Array(4);
        console.log(await Deno.stdin.read(piece), Deno.stdin.readSync(piece), await Deno.stdin.read(piece), piece);
        console.log(await Deno.stdin.read(piece), Deno.stdin.isTerminal());";
    assert_eq!(reading("abcdefghi", pieces), "4 4 1 Uint8Array(4) [ 105, 102, 103, 104 ]\nnull false\n");
    let text = "console.log(await new Response(Deno.stdin.readable).text());";
    assert_eq!(reading("gr\u{fc}n\n", text), "gr\u{fc}n\n\n");
    let lines = "for await (const text of Deno.stdin.readable.pipeThrough(new TextDecoderStream())) {
            await Deno.stdout.write(new TextEncoder().encode(text.toUpperCase()));
        }";
    assert_eq!(reading(&"abcdefg\n".repeat(20_000), lines), "ABCDEFG\n".repeat(20_000));
}

#[test]
fn standard_output_and_error_are_written() {
    let script = "const bytes = (text: string) => new TextEncoder().encode(text);
        Deno.stdout.writeSync(bytes('1 '));
        await Deno.stdout.write(bytes('2 '));
        console.log('3');
        await ReadableStream.from([bytes('4 '), bytes('5 ')]).pipeTo(Deno.stdout.writable, { preventClose: true });
        console.info('6', '%s', 'x');
        Deno.stderr.writeSync(bytes('a '));
        console.error('b');
        console.warn('c %d', 1);
        await new Blob(['d']).stream().pipeTo(Deno.stderr.writable);";
    let output = Sandbox::new().run(script);
    assert_eq!((output.stdout.as_str(), output.stderr.as_str()), ("1 2 3\n4 5 6 %s x\n", "a b\nc 1\nd"));
}

#[test]
fn missing_terminal_is_reported() {
    let script = "console.log(Deno.stdin.isTerminal(), Deno.stdout.isTerminal(), Deno.stderr.isTerminal());
        try { Deno.consoleSize(); } catch (error) { console.log(error.name, / terminal\\b/.test(error.message)); }
        console.log(confirm('sure?'), alert('told'), prompt('name?', 'default'));";
    assert_eq!(Sandbox::new().run(script).stdout(), "false false false\nError true\nfalse undefined null\n");
}

#[test]
fn server_prints_its_address() {
    let output = Sandbox::new().run("await Deno.serve({ port: 0 }, () => new Response()).shutdown();");
    assert_eq!((output.code, output.stdout.as_str()), (Some(0), ""));
    assert!(output.stderr.starts_with("Listening on http://0.0.0.0:"), "{}", output.stderr);
}

#[test]
fn process_returns_its_exit_code() {
    let code = |script: &str| {
        let output = Sandbox::new().run(script);
        assert_eq!(output.stderr, "", "{script}");
        (output.code.unwrap(), output.stdout)
    };
    assert_eq!(code("Deno.exitCode = 3;"), (3, String::new()));
    assert_eq!(code("Deno.exitCode = 3; Deno.exit();"), (3, String::new()));
    assert_eq!(code("Deno.exitCode = 3; Deno.exit(4); console.log('never');"), (4, String::new()));
    let events = "onbeforeunload = () => console.log('before'); onunload = () => console.log('unload');";
    assert_eq!(code(events), (0, "before\nunload\n".to_owned()));
    assert_eq!(code(&format!("{events} Deno.exit(5);")), (5, "unload\n".to_owned()));
    let again = "addEventListener('beforeunload', (event) => {
            if (Deno.exitCode++ < 2) { event.preventDefault(); setTimeout(() => console.log('again'), 1); }
        });";
    assert_eq!(code(again), (3, "again\nagain\n".to_owned()));
}

#[test]
fn uncaught_errors_of_event_listeners_are_reported() {
    for event in ["load", "beforeunload", "unload"] {
        let script = format!("addEventListener('{event}', () => {{ throw new TypeError('in {event}'); }});");
        let stderr = Sandbox::new().run(&script).stderr();
        assert!(stderr.starts_with(&format!("error: Uncaught TypeError: in {event}\n")), "{stderr}");
        assert!(stderr.contains("main.ts:1:"), "{stderr}");
    }
    let script = "import process from 'node:process'; process.on('exit', () => { throw new RangeError('in exit'); });";
    let stderr = Sandbox::new().run(script).stderr();
    assert!(stderr.starts_with("error: Uncaught RangeError: in exit\n"), "{stderr}");
}

#[cfg(unix)]
#[test]
fn unhandled_signal_terminates_the_process() {
    let script = "Deno.kill(Deno.pid, 'SIGTERM'); await new Promise((resolve) => setTimeout(resolve, 1e9));";
    assert_eq!(Sandbox::new().run(script).code, None);
    let heard = "Deno.addSignalListener('SIGTERM', () => { console.log('heard'); Deno.exit(6); });
        Deno.kill(Deno.pid, 'SIGTERM'); await new Promise((resolve) => setTimeout(resolve, 1e9));";
    let output = Sandbox::new().run(heard);
    assert_eq!((output.code, output.stdout.as_str()), (Some(6), "heard\n"));
}
