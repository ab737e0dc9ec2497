//! Generates scripts that call the functions of `Deno` with random arguments, with or without a database: functions, classes,
//! accessors, methods of the returned objects, and handlers and timers that throw.

use std::fmt::Write;

use arbitrary::{Result, Unstructured};

use super::script::{open, statement, value};

/// The maximum number of statements of a script.
const MAX_STATEMENTS: usize = 32;

/// Arguments of calls.
const ARGUMENTS: &[&str] = &[
    "'a'",
    "'b/c'",
    "'.'",
    "'..'",
    "'/dev/null'",
    "'/dev/full'",
    "`${t.directory}/a`",
    "new URL('file:///dev/null')",
    "new URL('http://127.0.0.1/')",
    "new URL(`file://${t.directory}/a`)",
    "'x'.repeat(300)",
    "'a\\0b'",
    "'SIGUSR2'",
    "'SIGKILL'",
    "'read'",
    "'utf-8'",
    "new Uint8Array(64)",
    "new Uint8Array(0)",
    "new Date(NaN)",
    "new Date(8.64e15)",
    "0o644",
    "2 ** 31",
    "-(2 ** 31)",
    "2 ** 53",
    "AbortSignal.abort()",
    "new AbortController().signal",
    "() => new Response('x')",
    "() => { throw Object.create(null); }",
    "new ReadableStream()",
    "new Blob(['x']).stream()",
    "{ name: 'read', path: 'a' }",
    "{ name: 'env', variable: 'A' }",
    "{ hostname: '127.0.0.1', port: 0 }",
    "{ transport: 'unix', path: 's' }",
    "{ transport: 'unixpacket', path: 'p' }",
    "{ transport: 'udp', hostname: '127.0.0.1', port: 0 }",
    "{ read: true, write: true, create: true }",
    "{ recursive: true }",
    "{ cmd: ['a'], args: ['b'] }",
    "t.kept(0)",
    "t.kept(1)",
    "t.hard.badStack()",
    "t.hard.throwing([])",
    "t.hard.throwing(() => 1)",
];

/// Names of options.
const NAMES: &[&str] = &[
    "alpnProtocols",
    "append",
    "args",
    "backlog",
    "caCerts",
    "cause",
    "cbreak",
    "cert",
    "clearEnv",
    "cmd",
    "colors",
    "compact",
    "create",
    "createNew",
    "cwd",
    "depth",
    "dir",
    "encoding",
    "env",
    "fn",
    "handler",
    "host",
    "hostname",
    "ignore",
    "iterableLimit",
    "key",
    "kind",
    "mode",
    "multicastInterface",
    "name",
    "nameServer",
    "noDelay",
    "onError",
    "onListen",
    "path",
    "permissions",
    "port",
    "prefix",
    "proxy",
    "read",
    "recordType",
    "recursive",
    "reusePort",
    "showHidden",
    "signal",
    "sorted",
    "stdin",
    "stdout",
    "suffix",
    "transport",
    "truncate",
    "uid",
    "write",
];

/// Handlers of messages and timers.
const HANDLERS: &[&str] = &[
    "() => { throw Object.create(null); }",
    "() => { throw t.hard.badStack(); }",
    "() => { throw t.hard.revoked(); }",
    "() => { throw t.hard.throwing({}); }",
    "() => { throw t.hard.throwing(new Error('e')); }",
    "() => { throw t.hard.throwingGetter('cause'); }",
    "() => { throw t.hard.cyclic(); }",
    "() => { throw Symbol('s'); }",
    "() => { throw undefined; }",
    "() => { throw new Error('e', { cause: t.hard.badStack() }); }",
    "() => { throw new AggregateError([Object.create(null), t.hard.revoked()], 'e'); }",
    "() => { throw Object.assign(new Error('e'), { name: Symbol('n'), message: Object.create(null) }); }",
    "() => { Error.prepareStackTrace = t.hard.fail; throw new Error('e'); }",
    "() => { Error.prepareStackTrace = () => Symbol('s'); throw new Error('e'); }",
    "() => { Error.stackTraceLimit = 'x'; throw new Error('e'); }",
    "() => { throw new DOMException('e', 'AbortError'); }",
    "() => (function f() { f(); })()",
    "() => Promise.reject(Object.create(null))",
    "async () => { await 0; throw t.hard.badStack(); }",
    "async () => { await 0; t.close(); throw null; }",
    "() => ({ then: t.hard.fail })",
    "() => ({ get then() { throw Object.create(null); } })",
    "() => t.hard.throwing(Promise.resolve())",
    "() => new Promise(() => {})",
    "() => t.close()",
    "(message) => { throw message; }",
    "(message) => t.kv.enqueue([message])",
    "(message) => t.kv.set(['m'], message)",
    "class {}",
    "async function* () {}",
    "new Proxy(() => {}, { apply: t.hard.fail })",
];

/// Returns the source of a script: an asynchronous function of the object that `torture` passes.
pub fn deno(data: &[u8]) -> String {
    let mut u = Unstructured::new(data);
    let mut text = String::from("async (t) => {\n");
    if u.ratio(1, 2).expect("the end of the bytes is a zero") {
        writeln!(text, "  {};", open(&mut u).expect("the end of the bytes is a zero")).expect("a string takes all");
    }
    for _ in 0..MAX_STATEMENTS {
        // An error means that the bytes are used up.
        let Ok(next) = next(&mut u) else { break };
        writeln!(text, "  {next};").expect("a string takes all");
        if u.is_empty() {
            break;
        }
    }
    text + "}"
}

fn next(u: &mut Unstructured<'_>) -> Result<String> {
    Ok(match u.int_in_range(0..=11)? {
        0..=3 => format!("t.act(() => t.call({}, {}))", u.arbitrary::<u16>()?, arguments(u)?),
        4 => format!("t.act(() => t.construct({}, {}))", u.arbitrary::<u16>()?, arguments(u)?),
        5 => format!("t.act(() => t.callOn({}, {}, {}))", u.arbitrary::<u16>()?, argument(u)?, arguments(u)?),
        6 | 7 => {
            let (object, method) = (u.arbitrary::<u8>()?, u.arbitrary::<u8>()?);
            format!("t.act(() => t.use({object}, {method}, {}))", arguments(u)?)
        }
        8 => format!("t.begin(() => t.kv.listenQueue({}))", u.choose(HANDLERS)?),
        9 => format!("t.act(() => t.kv.enqueue({}, {{ backoffSchedule: [] }}))", argument(u)?),
        10 => format!("t.timer({}, {})", u.choose(HANDLERS)?, argument(u)?),
        _ => statement(u)?,
    })
}

fn arguments(u: &mut Unstructured<'_>) -> Result<String> {
    let arguments = (0..u.int_in_range(0..=4)?).map(|_| argument(u)).collect::<Result<Vec<_>>>()?;
    Ok(arguments.join(", "))
}

fn argument(u: &mut Unstructured<'_>) -> Result<String> {
    Ok(match u.int_in_range(0..=7)? {
        0..=3 => format!("({})", u.choose(ARGUMENTS)?),
        4 | 5 => {
            let mut options = String::from("({ ");
            for _ in 0..u.int_in_range(1..=4)? {
                let name = u.choose(NAMES)?;
                let value = if u.arbitrary()? { format!("({})", u.choose(ARGUMENTS)?) } else { value(u, 2)? };
                write!(options, "{name}: {value}, ").expect("a string takes all");
            }
            options + "})"
        }
        6 => format!("[{}, {}]", value(u, 2)?, argument(u)?),
        _ => value(u, 1)?,
    })
}
