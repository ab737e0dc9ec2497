//! The reports of errors that queue handlers throw.

use crate::support::{Output, Sandbox};

/// Runs a handler that throws the values of the expressions in turn. Checks that each message is handled, and returns the reports.
#[track_caller]
fn report(thrown: &[&str]) -> String {
    let functions: Vec<_> = thrown.iter().map(|thrown| format!("() => {{ throw {thrown}; }}")).collect();
    let sandbox = Sandbox::new();
    let Output { code, stdout, stderr } = sandbox.run(&format!(
        "const all = [{}];
        const kv = await Deno.openKv(':memory:');
        const {{ promise, resolve }} = Promise.withResolvers();
        let handled = 0;
        kv.listenQueue((i) => {{
            if (++handled === all.length) resolve();
            all[i]();
        }});
        for (let i = 0; i < all.length; i++) await kv.enqueue(i, {{ backoffSchedule: [] }});
        await promise;
        await new Promise((resolve) => setTimeout(resolve));
        console.log(handled);
        kv.close();",
        functions.join(", "),
    ));
    assert_eq!((code, stdout), (Some(0), format!("{}\n", thrown.len())), "{stderr}");
    // Without positions in the script and the extension.
    stderr.lines().filter(|line| !line.trim_start().starts_with("at ")).map(|line| format!("{line}\n")).collect()
}

#[test]
fn handler_errors_are_reported_as_by_the_console() {
    let thrown = [
        "{ code: 'E_MAIL', status: 503, detail: { to: 'x' } }",
        "['a', 1]",
        "'text'",
        "undefined",
        "Symbol('s')",
        "Object.create(null)",
        "Object.assign(new Error('with code'), { code: 42 })",
        "Object.defineProperty(new Error('with cause'), 'cause', { get() { throw 1; } })",
        "new DOMException('aborted', 'AbortError')",
        "Object.defineProperty(new Error('no stack'), 'stack', { get() { throw 1; } })",
    ];
    let expected = r#"Exception in queue handler { code: "E_MAIL", status: 503, detail: { to: "x" } }
Exception in queue handler [ "a", 1 ]
Exception in queue handler text
Exception in queue handler undefined
Exception in queue handler Symbol(s)
Exception in queue handler [Object: null prototype] {}
Exception in queue handler Error: with code
  code: 42
}
Exception in queue handler Error: with cause
  [cause]: [Getter]
}
Exception in queue handler AbortError: aborted
Exception in queue handler [Error: no stack]
"#;
    assert_eq!(report(&thrown), expected);
}

#[test]
fn causes_and_nested_errors_are_reported() {
    let shown = report(&[
        "new Error('outer', { cause: new TypeError('inner') })",
        "new AggregateError([new Error('one'), new Error('two')], 'many')",
    ]);
    for part in ["handler Error: outer\n", "  [cause]: TypeError: inner\n", "handler AggregateError: many\n"] {
        assert!(shown.contains(part), "{shown}");
    }
    assert!(shown.contains("  [errors]: [\n    Error: one\n    Error: two\n"), "{shown}");
}

#[test]
fn errors_that_cannot_be_inspected_are_reported() {
    let shown = report(&[
        "{ [Symbol.for('Deno.customInspect')]() { throw 1; } }",
        "(({ proxy, revoke }) => (revoke(), proxy))(Proxy.revocable({}, {}))",
        "Object.assign(new Error('shown'), { [Symbol.for('Deno.customInspect')]() { throw 1; } })",
    ]);
    let expected = "Exception in queue handler {}
Exception in queue handler (an error that cannot be displayed)
Exception in queue handler Error: shown
";
    assert_eq!(shown, expected);
}
