// The errors of calls with values of any type: the classes are Deno's, and messages do not name types of the implementation.
// deno-lint-ignore-file no-explicit-any
import { equal, memory, onDeno, test } from "./harness.ts";

const VALUES: (() => any)[] = [
  () => undefined,
  () => null,
  () => true,
  () => 1,
  () => 0,
  () => -1,
  () => 1.5,
  () => NaN,
  () => Infinity,
  () => 1e300,
  () => 2 ** 32,
  () => 1n,
  () => -1n,
  () => 2n ** 70n,
  () => "",
  () => "1",
  () => "x",
  () => Symbol("s"),
  () => ({}),
  () => [],
  () => ["a"],
  () => [1],
  () => [["a"]],
  () => () => 1,
  () => new Date(0),
  () => new Uint8Array(2),
  () => new ArrayBuffer(2),
  () => new Uint16Array(2),
  () => new Uint8Array(new SharedArrayBuffer(2)),
  () => new Map(),
  () => new Deno.KvU64(1n),
  () => new Proxy(["a"], {}),
  () => Object("a"),
  () => Object(1),
];

/** Reads one item of a stream. */
async function read(stream: ReadableStream): Promise<void> {
  const reader = stream.getReader();
  await reader.read();
  await reader.cancel();
}

/**
 * Calls with a value, and the outcome for each of `VALUES`: "." for success, or the first letter of TypeError, Error, RangeError or
 * BadResource. "-" is for values that only one of Deno and OpenKV accepts.
 */
const CALLS: [name: string, call: (kv: any, value: any) => unknown, outcomes: string][] = [
  ["openKv", async (_, v) => typeof v === "string" && v ? undefined : (await Deno.openKv(v)).close(), "..TTTTTTTTTTTTT..TTTTTTTTTTTTTTTTT"],
  ["get, key", (kv, v) => kv.get(v), "TTTTTTTTTTTTTTTTTTT...TTTTTTTTTTTT"],
  ["get, part of the key", (kv, v) => kv.get([v]), "TT...............TTTTTTTT.T.-TTTTT"],
  ["get, options", (kv, v) => kv.get(["a"], v), ".................................."],
  ["get, consistency", (kv, v) => kv.get(["a"], { consistency: v }), "..TTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTT"],
  ["getMany, keys", (kv, v) => kv.getMany(v), "TT.............TT...TT...T.TT..TT."],
  ["getMany, key", (kv, v) => kv.getMany([v]), "TTTTTTTTTTTTTTTTTTT...TTTTTTTTTTTT"],
  ["getMany, options", (kv, v) => kv.getMany([["a"]], v), ".................................."],
  ["getMany, consistency", (kv, v) => kv.getMany([["a"]], { consistency: v }), "..TTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTT"],
  ["set, key", (kv, v) => kv.set(v, 1), "TTTTTTTTTTTTTTTTTTTT..TTTTTTTTTTTT"],
  ["set, part of the key", (kv, v) => kv.set([v], 1), "TT...............TTTTTTTT.T.-TTTTT"],
  ["set, value", (kv, v) => kv.set(["a"], v), ".................T.....T....T..T.."],
  ["set, options", (kv, v) => kv.set(["a"], 1, v), ".................................."],
  ["set, expireIn", (kv, v) => kv.set(["a"], 1, { expireIn: v }), ".TT..TTTTT.TTTTTTTTTTTTTTTTTTTTTTT"],
  ["delete, key", (kv, v) => kv.delete(v), "TTTTTTTTTTTTTTTTTTTT..TTTTTTTTTTTT"],
  ["delete, part of the key", (kv, v) => kv.delete([v]), "TT...............TTTTTTTT.T.-TTTTT"],
  ["list, selector", (kv, v) => kv.list(v).next(), "TTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTT"],
  ["list, prefix", (kv, v) => kv.list({ prefix: v }).next(), "TT....................T..........."],
  ["list, start", (kv, v) => kv.list({ start: v, end: ["z"] }).next(), "TT...................TT..T.TT....."],
  ["list, end", (kv, v) => kv.list({ start: ["a"], end: v }).next(), "TTTTTTTTTTTTTTTT.TTT..TTT.T..TT..T"],
  ["list, start of a prefix", (kv, v) => kv.list({ prefix: [], start: v }).next(), ".TTTTTTTTTTTTTT..TTT..TTT.T..TT..T"],
  ["list, options", (kv, v) => kv.list({ prefix: [] }, v).next(), ".T................................"],
  ["list, limit", (kv, v) => kv.list({ prefix: [] }, { limit: v }).next(), ".EE.EEEEE..EEEEEETEEEEEEEEEEEEEEEE"],
  ["list, batchSize", (kv, v) => kv.list({ prefix: [] }, { batchSize: v }).next(), "..E.EEEEETTEEEEEETEEEEEEEEEEEEEEEE"],
  ["list, cursor", (kv, v) => kv.list({ prefix: [] }, { cursor: v }).next(), "..TT.TT.TTTTTT.TTTTTTTTTTTTTTTTTTT"],
  ["list, reverse", (kv, v) => kv.list({ prefix: [] }, { reverse: v }).next(), ".................................."],
  ["list, values", (kv, v) => kv.list({ prefix: [] }, { values: v }).next(), ".................................."],
  ["list, consistency", (kv, v) => kv.list({ prefix: [] }, { consistency: v }).next(), "..TTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTT"],
  ["enqueue, message", (kv, v) => kv.enqueue(v), ".................T.....T....E..T.."],
  ["enqueue, options", (kv, v) => kv.enqueue(1, v), ".................................."],
  ["enqueue, delay", (kv, v) => kv.enqueue(1, { delay: v }), "..T..T.TTTT.TTTTTTTTTTTTTTTTTTTTTT"],
  ["enqueue, keysIfUndelivered", (kv, v) => kv.enqueue(1, { keysIfUndelivered: v }), "..TTTTTTTTTTTTTTTTT.TT.TTTTTTTTTTT"],
  ["enqueue, key of keysIfUndelivered", (kv, v) => kv.enqueue(1, { keysIfUndelivered: [v] }), "TTTTTTTTTTTTTTTTTTT-..TTTTTTTTTTTT"],
  ["enqueue, part of keysIfUndelivered", (kv, v) => kv.enqueue(1, { keysIfUndelivered: [[v]] }), "TT...............TTTTTTTT.T.-TTTTT"],
  ["enqueue, backoffSchedule", (kv, v) => kv.enqueue(1, { backoffSchedule: v }), ".TTTTTTTTTTTTTTTTTT.T.TTTTTTTTTTTT"],
  ["enqueue, interval of backoffSchedule", (kv, v) => kv.enqueue(1, { backoffSchedule: [v] }), "TTT..T.TTTT.TTTTTTTTTTTTTTTTTTTTTT"],
  ["watch, keys", (kv, v) => Array.isArray(v) && v.length === 0 ? undefined : read(kv.watch(v)), "TTTTTTTTTTTTTTTTTTT.TT.TTTTTTTTTTT"],
  ["watch, key", (kv, v) => read(kv.watch([v])), "TTTTTTTTTTTTTTTTTTT...TTTTTTTTTTTT"],
  ["watch, options", (kv, v) => read(kv.watch([["a"]], v)), ".T................................"],
  ["watch, raw", (kv, v) => read(kv.watch([["a"]], { raw: v })), ".................................."],
  ["check", (kv, v) => kv.atomic().check(v).commit(), "TTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTT"],
  ["check, key", (kv, v) => kv.atomic().check({ key: v, versionstamp: null }).commit(), "TTTTTTTTTTTTTTTTTTTT..TTTTTTTTTTTT"],
  ["check, versionstamp", (kv, v) => kv.atomic().check({ key: ["a"], versionstamp: v }).commit(), "..TTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTT"],
  ["mutate", (kv, v) => kv.atomic().mutate(v).commit(), "TTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTT"],
  ["mutate, type", (kv, v) => kv.atomic().mutate({ type: v, key: ["a"], value: 1 }).commit(), "TTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTT"],
  ["mutate, key of a set", (kv, v) => kv.atomic().mutate({ type: "set", key: v, value: 1 }).commit(), "TTTTTTTTTTTTTTTTTTTT..TTTTTTTTTTTT"],
  ["mutate, value of a set", (kv, v) => kv.atomic().mutate({ type: "set", key: ["a"], value: v }).commit(), ".................T.....T....T..T.."],
  ["mutate, expireIn", (kv, v) => kv.atomic().mutate({ type: "set", key: ["a"], value: 1, expireIn: v }).commit(), ".....TTTTT........................"],
  ["mutate, value of a sum", (kv, v) => kv.atomic().mutate({ type: "sum", key: ["a"], value: v }).commit(), "TTT...........TTTTTTTTTTTTTTTT.TTT"],
  ["mutate, value of a min", (kv, v) => kv.atomic().mutate({ type: "min", key: ["a"], value: v }).commit(), "TTTTTTTTTTTTTTTTTTTTTTTTTTTTTT.TTT"],
  ["mutate, key of a delete", (kv, v) => kv.atomic().mutate({ type: "delete", key: v }).commit(), "TTTTTTTTTTTTTTTTTTTT..TTTTTTTTTTTT"],
  ["mutate, value of a delete", (kv, v) => kv.atomic().mutate({ type: "delete", key: ["a"], value: v }).commit(), "..TT.TT.TTTTTT.TTTTTTTTTTTTTTTTTTT"],
  ["atomic, key of a set", (kv, v) => kv.atomic().set(v, 1).commit(), "TTTTTTTTTTTTTTTTTTTT..TTTTTTTTTTTT"],
  ["atomic, options of a set", (kv, v) => kv.atomic().set(["a"], 1, v).commit(), ".................................."],
  ["atomic, key of a sum", (kv, v) => kv.atomic().sum(v, 1n).commit(), "TTTTTTTTTTTTTTTTTTTT..TTTTTTTTTTTT"],
  ["atomic, operand of a sum", (kv, v) => kv.atomic().sum(["a"], v).commit(), "TTTTTTTTTTT.RRTTTTTTTTTTTTTTTTTTTT"],
  ["atomic, operand of a min", (kv, v) => kv.atomic().min(["a"], v).commit(), "TTTTTTTTTTT.RRTTTTTTTTTTTTTTTTTTTT"],
  ["atomic, message", (kv, v) => kv.atomic().enqueue(v).commit(), ".................T.....T....E..T.."],
  ["atomic, constructor", (kv, v) => new (kv.atomic().constructor)(v).set(["a"], 1).commit(), "TTTBBBBBBBB---TTTTTTTTTTTTTTTTTTTT"],
  ["KvU64", (_, v) => new Deno.KvU64(v), "TTTTTTTTTTT.RRTTTTTTTTTTTTTTTTTTTT"],
  ["this of get", (kv, v) => kv.get.call(v, ["a"]), "TTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTT"],
  ["this of close", (kv, v) => kv.close.call(v), "TTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTT"],
  ["this of next", (kv, v) => kv.list({ prefix: [] }).next.call(v), "TTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTT"],
  ["this of commit", (kv, v) => kv.atomic().commit.call(v), "TTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTT"],
];

/** Terms of the implementation. */
const FOREIGN = /serde|v8|\b[iu](8|16|32|64|size)\b|Vec|Option|variant|enum|struct\b|`|invalid type|length mismatch|\bgot\b/;

/** The message of `sum` for operands that cannot be added, as on Deno. */
const KNOWN = "Some of the parameters are not valid V8 values";

for (const [name, call, expected] of CALLS) {
  await test(`${name} of any type`, async () => {
    let outcomes = "";
    for (let i = 0; i < VALUES.length; i++) {
      using kv = await memory();
      let outcome = ".";
      try {
        await call(kv, VALUES[i]());
      } catch (thrown) {
        const { constructor, message } = thrown as Error;
        outcome = constructor.name[0];
        if (!onDeno && message !== KNOWN) equal([message, FOREIGN.exec(message)?.[0]], [message, undefined]);
      }
      outcomes += expected[i] === "-" ? "-" : outcome;
    }
    equal(outcomes, expected);
  });
}
