//! Generates scripts that call all functions of the KV API with unusual values, and sometimes close the database. Each call must
//! return or throw.

use std::fmt::Write;

use arbitrary::{Result, Unstructured};

/// Defines `torture(host, script)`, which runs a script. The host is an object of `openKv`, `KvU64`, the `path` of a file and,
/// if available, the `ops` of the extension and the namespace `Deno` with a `directory` for its files.
pub const PRELUDE: &str = include_str!("script.js");

/// The maximum number of calls of a script.
const MAX_CALLS: usize = 24;

/// The maximum depth of nested values.
const MAX_DEPTH: usize = 3;

/// Values without generated parts. `t.hard` defines those that take more than a line.
const VALUES: &[&str] = &[
    "undefined",
    "null",
    "true",
    "NaN",
    "-0",
    "0",
    "1",
    "-1",
    "1.5",
    "2 ** 31",
    "2 ** 32",
    "2 ** 53",
    "1e300",
    "Infinity",
    "-Infinity",
    "0n",
    "1n",
    "-1n",
    "2n ** 63n",
    "2n ** 64n - 1n",
    "2n ** 64n",
    "-(2n ** 2039n)",
    "2n ** 2040n",
    "2n ** 9999n",
    "''",
    "'a'",
    "'a\\0b'",
    "'\\ud800'",
    "'\\udc00a'",
    "'\\u{1f600}'",
    "'strong'",
    "'AA=='",
    "'AmIA'",
    "'0000000000000000'",
    "'00000000000000010000'",
    "'x'.repeat(3_000)",
    "'\\u20ac'.repeat(70_000)",
    "Symbol('s')",
    "Symbol.iterator",
    "t.kv.commitVersionstamp()",
    "() => 1",
    "async () => t.hard.fail()",
    "(() => { throw 1; })",
    "class A {}",
    "(function* () { yield 1; })()",
    "new Date(NaN)",
    "new Date(0)",
    "/a/gu",
    "new Map([[1, new Set([2])]])",
    "new Error('e', { cause: 1 })",
    "new AggregateError([1])",
    "new WeakMap()",
    "Promise.resolve(1)",
    "new ArrayBuffer(8)",
    "new ArrayBuffer(8, { maxByteLength: 64 })",
    "new SharedArrayBuffer(8)",
    "new SharedArrayBuffer(8, { maxByteLength: 64 })",
    "new Uint8Array(3)",
    "new Uint8Array(0)",
    "new Uint8Array(70_000)",
    "new Uint8Array(new SharedArrayBuffer(8))",
    "new Int8Array(3)",
    "new Uint8ClampedArray(3)",
    "new Int16Array(3)",
    "new Uint16Array(3)",
    "new Int32Array(3)",
    "new Uint32Array(3)",
    "new Float32Array(3)",
    "new Float64Array(3)",
    "new BigInt64Array(3)",
    "new BigUint64Array(3)",
    "new Uint8Array(16).subarray(5, 9)",
    "new DataView(new ArrayBuffer(8), 1)",
    "new DataView(new SharedArrayBuffer(8))",
    "new (class extends Uint8Array {})(3)",
    "new (class extends Array {})(3)",
    "Object.create(null)",
    "Object.create(Uint8Array.prototype)",
    "Object.create(t.KvU64.prototype)",
    "Object.create(t.KvU64.prototype, { value: { value: -1n } })",
    "new t.KvU64(7n)",
    "new t.KvU64(2n ** 64n - 1n)",
    "[]",
    "[,]",
    "[undefined]",
    "[[]]",
    "[[['a']]]",
    "[null, [null]]",
    "Object.freeze(['a'])",
    "{}",
    "new Proxy([], {})",
    "new Proxy({}, {})",
    "Object('a')",
    "Object(1n)",
    "Object(Symbol())",
    "globalThis",
    "t",
    "t.kv",
    "t.kv.atomic()",
    "t.kv.list({ prefix: [] })",
    "{ toString: t.hard.fail }",
    "{ toJSON: t.hard.fail }",
    "{ then: t.hard.fail }",
    "{ length: 2 }",
    "{ length: -1 }",
    "{ value: 1n }",
    "new WebAssembly.Memory({ initial: 1 }).buffer",
    "new Intl.Collator()",
    "t.hard.cyclic()",
    "t.hard.deep()",
    "t.hard.detached()",
    "t.hard.growing()",
    "t.hard.holes()",
    "t.hard.resizing()",
    "t.hard.revoked()",
    "t.hard.shrinking()",
    "t.hard.tracking()",
    "t.hard.outOfBounds(Uint8Array)",
    "t.hard.outOfBounds(DataView)",
    "t.hard.outOfBounds(BigInt64Array)",
    "t.hard.closingKey()",
    "t.hard.throwingKey()",
    "t.hard.branded(1)",
    "t.hard.branded(() => ({ type: 'None' }))",
    "t.hard.branded(() => ({ type: {} }))",
    "t.hard.branded(() => null)",
    "t.hard.branded(t.hard.fail)",
    "t.hard.branded(function () { return this; })",
    "t.hard.branded(() => (t.close(), { type: 'Blob' }))",
];

/// Names of properties that the calls read.
const NAMES: &[&str] = &[
    "key",
    "value",
    "versionstamp",
    "type",
    "expireIn",
    "prefix",
    "start",
    "end",
    "limit",
    "batchSize",
    "cursor",
    "reverse",
    "consistency",
    "values",
    "delay",
    "keysIfUndelivered",
    "backoffSchedule",
    "raw",
    "length",
    "message",
    "keys_if_undelivered",
    "toString",
    "0",
    "__proto__",
];

/// The ops of the extension, which otherwise only its own modules call.
const OPS: &[&str] = &[
    "op_openkv_add_mutations",
    "op_openkv_count",
    "op_openkv_delete_range",
    "op_openkv_encode_cursor",
    "op_openkv_finish",
    "op_openkv_found",
    "op_openkv_get",
    "op_openkv_get_many",
    "op_openkv_list",
    "op_openkv_list_mutations",
    "op_openkv_message",
    "op_openkv_mutate",
    "op_openkv_mutations",
    "op_openkv_open",
    "op_openkv_reject_consistency",
    "op_openkv_serialize",
    "op_openkv_set_classes",
    "op_openkv_start",
    "op_openkv_yield",
    "op_openkv_yield_is_due",
    "op_openkv_wait",
    "op_openkv_watch",
    "op_openkv_write",
];

/// Returns the source of a script: an asynchronous function of the object that `torture` passes.
pub fn script(data: &[u8]) -> String {
    let mut u = Unstructured::new(data);
    let mut text = format!("async (t) => {{\n  {};\n", open(&mut u).expect("the end of the bytes is a zero"));
    for _ in 0..MAX_CALLS {
        // An error means that the bytes are used up.
        let Ok(call) = statement(&mut u) else { break };
        writeln!(text, "  {call};").expect("a string takes all");
        if u.is_empty() {
            break;
        }
    }
    text + "}"
}

/// Generates a call of the database or of an op, or another statement.
pub(super) fn statement(u: &mut Unstructured<'_>) -> Result<String> {
    Ok(match u.int_in_range(0..=13)? {
        0 => "await t.settle()".into(),
        1 if u.ratio(1, 4)? => "t.close()".into(),
        1 | 2 => format!("await t.checked((write) => write{})", steps(u)?),
        3 => format!("t.act(() => t.kv.atomic(){}.commit())", steps(u)?),
        4 => format!("t.act(() => t.list({}, {}))", selector(u)?, options(u)?),
        5 => format!("t.begin(() => t.watch({}))", arguments(u)?),
        6 => format!("t.begin(() => t.kv.listenQueue({}))", value(u, 0)?),
        7 => format!("t.begin(() => t.kv.listenQueue((message) => t.kv.set(['m'], message, {})))", options(u)?),
        8 => format!("t.ops && t.act(() => t.ops.{}({}))", u.choose(OPS)?, raw_arguments(u)?),
        9 => {
            let watched = "t.ops.op_openkv_watch(t.rid, [['t']])";
            let op = u.choose(&[
                "op_openkv_dequeue(t.rid)",
                "op_openkv_watch_next(t.rid)",
                "op_openkv_watch_next(WATCHED)",
            ])?;
            format!("t.ops && t.begin(() => t.ops.{})", op.replace("WATCHED", watched))
        }
        10 => format!("t.act(() => new t.KvU64({}))", value(u, 0)?),
        11 => open(u)?,
        _ => {
            let call = match u.int_in_range(0..=8)? {
                0 => format!("get({}, {})", key(u)?, options(u)?),
                1 => format!("getMany([{}, {}], {})", key(u)?, key(u)?, options(u)?),
                2 => format!("set({}, {}, {})", key(u)?, value(u, 0)?, options(u)?),
                3 => format!("delete({})", key(u)?),
                4 => format!("count({})", selector(u)?),
                5 => format!("deleteRange({})", selector(u)?),
                6 => format!("enqueue({}, {})", value(u, 0)?, options(u)?),
                7 => format!("atomic().set(['a'], {})[Symbol.for('Deno.privateCustomInspect')](String)", value(u, 0)?),
                _ => format!(
                    "{}({})",
                    u.choose(&[
                        "get",
                        "getMany",
                        "set",
                        "delete",
                        "list",
                        "count",
                        "deleteRange",
                        "enqueue",
                        "atomic().check",
                        "atomic().mutate"
                    ])?,
                    arguments(u)?
                ),
            };
            format!("t.act(() => t.kv.{call})")
        }
    })
}

/// Generates a statement that opens a database.
pub(super) fn open(u: &mut Unstructured<'_>) -> Result<String> {
    Ok(format!("await t.open({})", u.ratio(1, 4)?))
}

/// Generates the steps of an atomic operation.
fn steps(u: &mut Unstructured<'_>) -> Result<String> {
    let mut steps = String::new();
    for _ in 0..u.int_in_range(1..=4)? {
        let step = match u.int_in_range(0..=8)? {
            0 => format!("set({}, {}, {})", key(u)?, value(u, 0)?, options(u)?),
            1 => format!("set({}, 1)", key(u)?),
            2 => format!("delete({})", key(u)?),
            3 => format!("check({{ key: {}, versionstamp: {} }})", key(u)?, value(u, 0)?),
            4 => format!("{}({}, {})", u.choose(&["sum", "min", "max"])?, key(u)?, value(u, 0)?),
            5 => format!("enqueue({}, {})", value(u, 0)?, options(u)?),
            6 => {
                let ty = u.choose(&["set", "delete", "sum", "min", "max", "other"])?;
                format!("mutate({{ type: '{ty}', key: {}, value: {} }})", key(u)?, value(u, 0)?)
            }
            7 => format!("mutate({})", arguments(u)?),
            _ => format!("check({})", arguments(u)?),
        };
        write!(steps, ".{step}").expect("a string takes all");
    }
    Ok(steps)
}

fn arguments(u: &mut Unstructured<'_>) -> Result<String> {
    let arguments = (0..u.int_in_range(0..=3)?).map(|_| value(u, 0)).collect::<Result<Vec<_>>>()?;
    Ok(arguments.join(", "))
}

/// Generates arguments of an op, often of the types that it takes.
fn raw_arguments(u: &mut Unstructured<'_>) -> Result<String> {
    let first = *u.choose(&["t.rid", "t.rid", "t.mutations", "':memory:'", "1"])?;
    let mut arguments = vec![first.to_owned()];
    for _ in 0..u.int_in_range(0..=5)? {
        arguments.push(match u.int_in_range(0..=7)? {
            0 => key(u)?,
            1 => selector(u)?,
            2 => options(u)?,
            3 => "t.mutations".into(),
            4 => format!("[{{ key: {}, versionstamp: {} }}]", key(u)?, value(u, 0)?),
            5 => format!(
                "[{{ message: {}, delay: {}, keysIfUndelivered: {}, backoffSchedule: {} }}]",
                value(u, 0)?,
                value(u, 0)?,
                value(u, 0)?,
                value(u, 0)?
            ),
            _ => value(u, 0)?,
        });
    }
    Ok(arguments.join(", "))
}

/// Generates a key: one of a few, or any value.
fn key(u: &mut Unstructured<'_>) -> Result<String> {
    Ok(match u.int_in_range(0..=6)? {
        0..=3 => format!("['t', {}]", u.int_in_range(0..=3)?),
        4 => format!("['t', {}]", value(u, 1)?),
        5 => format!("[{}, {}]", value(u, 1)?, value(u, 1)?),
        _ => value(u, 0)?,
    })
}

fn selector(u: &mut Unstructured<'_>) -> Result<String> {
    Ok(match u.int_in_range(0..=4)? {
        0 => "{ prefix: ['t'] }".into(),
        1 => format!("{{ prefix: {}, start: {} }}", key(u)?, key(u)?),
        2 => format!("{{ start: {}, end: {} }}", key(u)?, key(u)?),
        3 => format!("{{ prefix: [], limit: {}, cursor: {} }}", value(u, 0)?, value(u, 0)?),
        _ => value(u, 0)?,
    })
}

/// Generates options of a call.
fn options(u: &mut Unstructured<'_>) -> Result<String> {
    if u.ratio(1, 2)? {
        return Ok("undefined".into());
    }
    if u.ratio(1, 4)? {
        return value(u, 0);
    }
    let mut options = String::from("{ ");
    for _ in 0..u.int_in_range(1..=3)? {
        // The keys of undelivered messages must differ from those of checked writes.
        let option = match *u.choose(NAMES)? {
            "keysIfUndelivered" if u.arbitrary()? => "keysIfUndelivered: [['u', 1]], backoffSchedule: []".into(),
            "expireIn" if u.arbitrary()? => "expireIn: 5".into(),
            name => format!("['{name}']: {}", value(u, 1)?),
        };
        write!(options, "{option}, ").expect("a string takes all");
    }
    Ok(options + "}")
}

/// Generates a value of any type, nested up to a maximum depth.
pub(super) fn value(u: &mut Unstructured<'_>, depth: usize) -> Result<String> {
    if depth == MAX_DEPTH || u.ratio(2, 3)? {
        return Ok(format!("({})", u.choose(VALUES)?));
    }
    let depth = depth + 1;
    let inner = value(u, depth)?;
    Ok(match u.int_in_range(0..=9)? {
        0 => format!("[{inner}, {}]", value(u, depth)?),
        1 => format!("{{ ['{}']: {inner}, ['{}']: {} }}", u.choose(NAMES)?, u.choose(NAMES)?, value(u, depth)?),
        2 => format!("new Map([[{inner}, {}]])", value(u, depth)?),
        3 => format!("t.hard.throwing(Object({inner}))"),
        4 => format!("t.hard.closing(Object({inner}))"),
        5 => format!("t.hard.throwingGetter('{}')", u.choose(NAMES)?),
        6 => format!("t.hard.closingGetter('{}', {inner})", u.choose(NAMES)?),
        7 => format!("t.hard.reading('{}')", u.choose(NAMES)?),
        8 => format!("t.hard.branded(() => ({{ type: {inner} }}))"),
        _ => format!("Object.setPrototypeOf([{inner}], {{ {}: {} }})", u.choose(NAMES)?, value(u, depth)?),
    })
}
