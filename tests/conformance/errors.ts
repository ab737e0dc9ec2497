import { difference, equal, memory, onReference, rejects, test, throws, throwsAtOnce } from "./harness.ts";

// deno-lint-ignore no-explicit-any
const any = (value: unknown) => value as any;

await test("a selector needs a prefix, or a start and an end", async () => {
  using kv = await memory();
  const message = "Selector must specify either 'prefix' or both 'start' and 'end' key";
  for (const selector of [{}, { start: ["a"] }, { end: ["a"] }, { prefix: undefined, start: ["a"] }]) {
    throwsAtOnce(() => kv.list(any(selector)), "TypeError", message);
  }
});

await test("a start and an end lie within the prefix, in their order", async () => {
  using kv = await memory();
  const read = (selector: unknown) => kv.list(any(selector)).next();
  const start = "Start key is not in the keyspace defined by prefix";
  await rejects(() => read({ prefix: ["a"], start: ["b"] }), "TypeError", start);
  await rejects(() => read({ prefix: ["a"], start: ["a"] }), "TypeError", start);
  const end = "End key is not in the keyspace defined by prefix";
  await rejects(() => read({ prefix: ["a"], end: ["b"] }), "TypeError", end);
  await rejects(() => read({ prefix: ["a"], end: ["a"] }), "TypeError", end);
  await rejects(() => read({ start: ["b"], end: ["a"] }), "TypeError", "Start key is greater than end key");
});

await test("a cursor is that of the same selector", async () => {
  using kv = await memory();
  const read = (cursor: string, reverse: boolean) => kv.list({ start: ["b"], end: ["d"] }, { cursor, reverse }).next();
  await rejects(() => read("*", false), "TypeError", "invalid cursor");
  await rejects(() => read("YQA", false), "TypeError", "invalid cursor");
  await rejects(() => read("YQA=", false), "TypeError", "cursor out of bounds");
  await rejects(() => read("ZQA=", true), "TypeError", "cursor out of bounds");
  equal(await read("ZQA=", false), { done: true, value: undefined });
  equal(await read("YQA=", true), { done: true, value: undefined });
});

await test("a consistency is strong or eventual", async () => {
  using kv = await memory();
  const options = any({ consistency: "weak" });
  const message = "unknown variant `weak`, expected `strong` or `eventual`";
  await rejects(() => kv.get(["a"], options), "TypeError", message);
  await rejects(() => kv.getMany([["a"]], options), "TypeError", message);
  const list = kv.list({ prefix: [] }, options);
  await rejects(() => list.next(), "TypeError", message);
  for (const consistency of ["strong", "eventual"] as const) {
    equal((await kv.get(["a"], { consistency })).value, null);
    equal((await kv.getMany([["a"]], { consistency })).length, 1);
    equal((await kv.list({ prefix: [] }, { consistency }).next()).done, true);
  }
});

await test("a mutation has a type, and a value where the type has one", async () => {
  using kv = await memory();
  const refuses = (mutation: unknown, message: string) =>
    throwsAtOnce(() => kv.atomic().mutate(any(mutation)), "TypeError", message);
  refuses({ key: ["a"], type: "move" }, "Invalid mutation type");
  refuses({ key: ["a"] }, "Invalid mutation type");
  for (const type of ["set", "sum", "min", "max"]) refuses({ key: ["a"], type }, `Invalid mutation '${type}' without value`);
  refuses({ key: ["a"], type: "delete", value: 1 }, "Invalid mutation 'delete' with value");
  equal((await kv.atomic().mutate(any({ key: ["a"], type: "delete", value: 0 })).commit()).ok, true);
});

await test("sum, min and max want numbers of 64 bits", async () => {
  using kv = await memory();
  for (const name of ["sum", "min", "max"] as const) {
    const combine = (n: unknown) => () => kv.atomic()[name](["a"], any(n));
    throwsAtOnce(combine(1), "TypeError", "Value must be a bigint: received number");
    throwsAtOnce(combine(new Deno.KvU64(1n)), "TypeError", "Value must be a bigint: received object");
    throwsAtOnce(combine(-1n), "RangeError", "Value must be a positive bigint: received -1");
    throwsAtOnce(combine(2n ** 64n), "RangeError", "Value must fit in a 64-bit unsigned integer");
    await kv.set(["text"], "text");
    const stored = `Failed to perform '${name}' mutation on a non-U64 value in the database`;
    await rejects(() => kv.atomic()[name](["text"], 1n).commit(), "TypeError", stored);
  }
  for (const type of ["min", "max"]) {
    const operand = `Failed to perform '${type}' mutation on a non-U64 operand`;
    await rejects(() => kv.atomic().mutate(any({ type, key: ["a"], value: 1 })).commit(), "TypeError", operand);
  }
});

await test("plain numbers and bigints are summed too, each with its kind", async () => {
  using kv = await memory();
  const sum = (key: string, value: unknown) => kv.atomic().mutate(any({ type: "sum", key: [key], value })).commit();
  const read = async (key: string) => (await kv.get([key])).value;
  await sum("number", 1);
  await sum("number", 1.5);
  equal(await read("number"), 2.5);
  await sum("bigint", 2n ** 70n);
  await sum("bigint", -1n);
  equal(await read("bigint"), 2n ** 70n - 1n);
  await kv.set(["u64"], new Deno.KvU64(5n));
  await sum("u64", 2n);
  equal(await read("u64"), new Deno.KvU64(7n));
  await rejects(() => sum("number", 1n), "TypeError", "Cannot sum Number with BigInt");
  await kv.set(["text"], "text");
  await rejects(() => sum("text", 1), "TypeError", "unsupported value type");
});

await test("the versionstamp of a check is one, or null", async () => {
  using kv = await memory();
  const check = (versionstamp: unknown) => kv.atomic().check(any({ key: ["a"], versionstamp })).commit();
  for (const bad of ["", "x", "0000000000000001000", "0000000000000001000g"]) {
    await rejects(() => check(bad), "TypeError", "Invalid check");
  }
  equal((await check(undefined)).ok, true);
  equal((await check("00000000000000010000")).ok, false);
});

await test("a closed database refuses everything", async () => {
  const kv = await memory();
  const list = kv.list({ prefix: [] });
  const atomic = kv.atomic().set(["a"], 1);
  kv.close();
  for (
    const call of [
      () => kv.get(["a"]),
      () => kv.getMany([["a"]]),
      () => kv.set(["a"], 1),
      () => kv.delete(["a"]),
      () => kv.enqueue(1),
      () => list.next(),
      () => atomic.commit(),
      () => kv.atomic().commit(),
    ]
  ) await rejects(call, "BadResource", "Bad resource ID");
  throwsAtOnce(() => kv.watch([["a"]]), "BadResource", "Bad resource ID");
  throwsAtOnce(() => kv.close(), "BadResource", "Bad resource ID");
  await rejects(() => kv.listenQueue(() => {}), "Error", "Queue already closed");
  kv[Symbol.dispose]();
  kv[Symbol.dispose]();
});

await test("a database is opened, not constructed", () => {
  const message = "Deno.Kv can not be constructed: use Deno.openKv instead";
  throwsAtOnce(() => new (any(Deno.Kv))(), "TypeError", message);
});

await test("a path names a file that can be a database", async () => {
  await rejects(() => Deno.openKv(""), "TypeError", "Filename cannot be empty");
  const colon = "Filename cannot start with ':' unless prefixed with './'";
  await rejects(() => Deno.openKv(":other:"), "TypeError", colon);
  await rejects(() => Deno.openKv("/missing/kv.db"), "Error", "unable to open database file: /missing/kv.db");
  await rejects(() => Deno.openKv("/"), "Error", "unable to open database file: /");
});

await difference("a file that is no database is named", "the reference does not say which file", async () => {
  const script = new URL(import.meta.url).pathname;
  await rejects(() => Deno.openKv(script), "Error", `file is not a database: ${script}`);
});

await test("the versionstamp of a commit is for the end of a key to set", async () => {
  using kv = await memory();
  const stamp = any(kv.commitVersionstamp());
  const message = "expected string, number, bigint, ArrayBufferView, boolean";
  await rejects(() => kv.get([stamp]), "TypeError", message);
  await rejects(() => kv.delete(["a", stamp]), "TypeError", message);
  await rejects(() => kv.set([stamp, "a"], 1), "TypeError", message);
  await rejects(() => kv.atomic().sum(["a", stamp], 1n).commit(), "TypeError", message);
  await throws(() => kv.list({ prefix: [stamp] }).next(), "TypeError", message);
});

await difference("a remote database is refused", "the reference connects to it", async () => {
  if (onReference) throw new Error("not tried: there is no network");
  const message = "https://example.com is a remote database, which this version cannot open: give the path of a file";
  await rejects(() => Deno.openKv("https://example.com"), "NotSupported", message);
});
