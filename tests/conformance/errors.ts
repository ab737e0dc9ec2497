// deno-lint-ignore-file no-explicit-any
import { difference, equal, memory, plain, rejects, test, throws, throwsSync } from "./harness.ts";

/** Removes the type of a value. */
const any = (value: unknown): any => value;

await test("a selector without a range throws synchronously", async () => {
  using kv = await memory();
  const message = "Selector must specify either 'prefix' or both 'start' and 'end' key";
  for (const selector of [{}, { start: ["a"] }, { end: ["a"] }, { prefix: undefined, start: ["a"] }, [], "a", 1]) {
    throwsSync(() => kv.list(any(selector)), "TypeError", message);
  }
});

await test("a missing selector or key of a selector throws synchronously", async () => {
  using kv = await memory();
  const message = "Cannot convert undefined or null to object";
  const selectors = [undefined, null, { prefix: null }, { start: null, end: ["a"] }, { prefix: ["a"], start: null }];
  for (const selector of selectors) throwsSync(() => kv.list(any(selector)), "TypeError", message);
});

await test("a start or end outside of the prefix rejects the first step", async () => {
  using kv = await memory();
  for (const other of [["b"], ["b", 1], ["a"], [], ["ab"], ["ab", 1], [1], [true]]) {
    const message = "key is not in the keyspace defined by prefix";
    await rejects(() => kv.list({ prefix: ["a"], start: other }).next(), "TypeError", `Start ${message}`);
    await rejects(() => kv.list({ prefix: ["a"], end: other }).next(), "TypeError", `End ${message}`);
  }
  equal(await Array.fromAsync(kv.list({ prefix: ["a"], start: ["a", 1] })), []);
});

await test("a start after the end rejects the first step", async () => {
  using kv = await memory();
  for (const [start, end] of [[["b"], ["a"]], [["a", 1], ["a"]], [[1], [1n]], [["a"], []]]) {
    await rejects(() => kv.list({ start, end }).next(), "TypeError", "Start key is greater than end key");
  }
  equal(await Array.fromAsync(kv.list({ start: ["a"], end: ["a"] })), []);
  equal(await Array.fromAsync(kv.list({ start: [], end: [] })), []);
});

await test("a rejected listing rejects again", async () => {
  using kv = await memory();
  const list = kv.list({ start: ["b"], end: ["a"] });
  for (let i = 0; i < 2; i++) await rejects(() => list.next(), "TypeError", "Start key is greater than end key");
  throwsSync(() => list.cursor, "Error", "Cannot get cursor before first iteration");
});

await test("a cursor that is not padded URL-safe Base64 rejects the first step", async () => {
  using kv = await memory();
  for (const cursor of ["*", "A", "_w", "_w=", "/w==", "AmEA\n", " ", "\u00e4"]) {
    await rejects(() => kv.list({ prefix: [] }, { cursor }).next(), "TypeError", "invalid cursor");
  }
  for (const [cursor, type] of [[5, "number"], [{}, "object"], [true, "boolean"]]) {
    const message = plain(`The cursor must be a string: received ${type}`);
    await rejects(() => kv.list({ prefix: [] }, { cursor: any(cursor) }).next(), "TypeError", message);
  }
});

await test("a cursor of another listing is accepted within the range", async () => {
  using kv = await memory();
  await kv.set(["a", "b"], 1);
  for (const cursor of ["_w==", "____", "AA==", "AmEA", "AmE=", "", null, undefined]) {
    for (const reverse of [false, true]) {
      await Array.fromAsync(kv.list({ prefix: ["none"] }, { cursor: any(cursor), reverse }));
    }
  }
  for (const cursor of ["", null, undefined]) {
    equal((await Array.fromAsync(kv.list({ prefix: ["a"] }, { cursor: any(cursor) }))).length, 1);
  }
});

await test("a cursor outside of the range rejects the first step", async () => {
  using kv = await memory();
  const [a, z] = ["AmEA", "AnoA"];
  for (const cursor of [a, z]) {
    await rejects(
      () => kv.list({ start: ["b"], end: ["d"] }, { cursor }).next(),
      "TypeError",
      "cursor out of bounds",
    );
  }
});

await test("the consistency is strong or eventual", async () => {
  using kv = await memory();
  for (const consistency of ["strong", "eventual", undefined, null]) {
    const options = { consistency: any(consistency) };
    equal((await kv.get(["a"], options)).value, null);
    equal((await kv.getMany([["a"]], options)).length, 1);
    equal(await Array.fromAsync(kv.list({ prefix: [] }, options)), []);
  }
  const wrong: [unknown, string][] = [
    ["x", '"x"'],
    ["Strong", '"Strong"'],
    ["", '""'],
    [1, "number"],
    [true, "boolean"],
    [1n, "bigint"],
    [Symbol("s"), "symbol"],
    [[], "array"],
    [["strong"], "array"],
    [{}, "object"],
    [new Date(0), "object"],
    [() => "strong", "function"],
  ];
  for (const [consistency, received] of wrong) {
    const options = { consistency: any(consistency) };
    const message = plain(`consistency must be "strong" or "eventual": received ${received}`);
    await rejects(() => kv.get(["a"], options), "TypeError", message);
    await rejects(() => kv.getMany([["a"]], options), "TypeError", message);
    await rejects(() => kv.getMany([], options), "TypeError", message);
    await rejects(() => kv.list({ prefix: [] }, options).next(), "TypeError", message);
  }
});

await test("options may be null where they are not destructured", async () => {
  using kv = await memory();
  await kv.set(["a"], 1, any(null));
  await kv.enqueue(1, any(null));
  equal((await kv.get(["a"], any(null))).value, 1);
  const message = "Cannot read properties of null (reading 'limit')";
  throwsSync(() => kv.list({ prefix: [] }, any(null)), "TypeError", message);
});

await test("keys of getMany and watch are arrays", async () => {
  using kv = await memory();
  await rejects(() => any(kv).getMany(), "TypeError", "Array.prototype.map called on null or undefined");
  await rejects(() => any(kv).getMany(null), "TypeError", "Array.prototype.map called on null or undefined");
  await rejects(() => any(kv).getMany("a"), "TypeError", plain("A key must be an array: received string"));
});

await test("watch without keys throws synchronously", async () => {
  using kv = await memory();
  throwsSync(() => any(kv).watch(), "TypeError", plain("A list of keys must be an array: received undefined"));
  throwsSync(() => any(kv).watch("a"), "TypeError", plain("A list of keys must be an array: received string"));
});

await test("a mutation has a type", async () => {
  using kv = await memory();
  for (const type of ["x", "Set", "", undefined, null, 1, "setSuffixVersionstampedKey", "toString"]) {
    const mutation = any({ key: ["a"], type, value: new Deno.KvU64(1n) });
    throwsSync(() => kv.atomic().mutate(mutation), "TypeError", "Invalid mutation type");
  }
});

await test("a mutation has a value where it needs one", async () => {
  using kv = await memory();
  for (const type of ["set", "sum", "min", "max"]) {
    const message = `Invalid mutation '${type}' without value`;
    throwsSync(() => kv.atomic().mutate(any({ key: ["a"], type })), "TypeError", message);
  }
  for (const value of [1, "a", {}, new Deno.KvU64(0n)]) {
    const mutation = any({ key: ["a"], type: "delete", value });
    throwsSync(() => kv.atomic().mutate(mutation), "TypeError", "Invalid mutation 'delete' with value");
  }
  await kv.atomic().mutate({ key: ["a"], type: "set", value: undefined }).commit();
  equal((await kv.get(["a"])).versionstamp !== null, true);
});

await test("a missing mutation throws synchronously", async () => {
  using kv = await memory();
  for (const missing of [undefined, null]) {
    const message = `Cannot read properties of ${missing} (reading 'key')`;
    throwsSync(() => kv.atomic().mutate(any(missing)), "TypeError", message);
    throwsSync(() => kv.atomic().check(any(missing)), "TypeError", message);
  }
  equal((await kv.atomic().check().mutate().commit()).ok, true);
  const keyless = "Cannot read properties of undefined (reading 'length')";
  await rejects(() => kv.atomic().mutate(any({ type: "set", value: 1 })).commit(), "TypeError", keyless);
});

await test("min and max require a KvU64", async () => {
  using kv = await memory();
  for (const type of ["min", "max"] as const) {
    for (const value of [1, 1n]) {
      const operation = kv.atomic().mutate({ type, key: ["a"], value: any(value) });
      const message = `Failed to perform '${type}' mutation on a non-U64 operand`;
      await rejects(() => operation.commit(), "TypeError", message);
    }
  }
  equal((await kv.get(["a"])).versionstamp, null);
});

await difference("an invalid operand writes nothing", "Deno writes the mutations before it", async () => {
  using kv = await memory();
  const operation = kv.atomic().set(["b"], 1).mutate({ type: "min", key: ["a"], value: any(1) });
  await rejects(() => operation.commit(), "TypeError", "Failed to perform 'min' mutation on a non-U64 operand");
  equal((await kv.get(["b"])).versionstamp, null);
});

await test("sum accepts a KvU64, a number or a bigint", async () => {
  using kv = await memory();
  for (const [value, twice] of [[1.5, 3], [2n, 4n], [new Deno.KvU64(3n), new Deno.KvU64(6n)]]) {
    const mutation = any({ type: "sum", key: [typeof value], value });
    await kv.atomic().mutate(mutation).commit();
    equal((await kv.get([typeof value])).value, value);
    await kv.atomic().mutate(mutation).commit();
    equal((await kv.get([typeof value])).value, twice);
  }
  for (const value of ["1", {}, null, true, new Date(), new Uint8Array(8)]) {
    const operation = kv.atomic().mutate({ type: "sum", key: ["a"], value: any(value) });
    await rejects(() => operation.commit(), "TypeError", "Some of the parameters are not valid V8 values");
  }
  equal((await kv.get(["a"])).versionstamp, null);
});

await test("sum, min and max reject stored values of other kinds", async () => {
  using kv = await memory();
  for (const type of ["sum", "min", "max"] as const) {
    for (const value of ["text", 5, 5n, null, undefined, {}, new Uint8Array(8)]) {
      await kv.set(["a"], value);
      const message = `Failed to perform '${type}' mutation on a non-U64 value in the database`;
      await rejects(() => kv.atomic()[type](["a"], 1n).commit(), "TypeError", message);
      equal((await kv.get(["a"])).value, value);
    }
  }
});

await test("sum, min, max and KvU64 require a bigint of 64 bits", async () => {
  using kv = await memory();
  const wrong: [unknown, string, string][] = [
    [1, "TypeError", "Value must be a bigint: received number"],
    ["1", "TypeError", "Value must be a bigint: received string"],
    [undefined, "TypeError", "Value must be a bigint: received undefined"],
    [null, "TypeError", "Value must be a bigint: received object"],
    [new Deno.KvU64(1n), "TypeError", "Value must be a bigint: received object"],
    [Symbol("s"), "TypeError", "Value must be a bigint: received symbol"],
    [-1n, "RangeError", "Value must be a positive bigint: received -1"],
    [-(2n ** 64n), "RangeError", "Value must be a positive bigint: received -18446744073709551616"],
    [2n ** 64n, "RangeError", "Value must fit in a 64-bit unsigned integer"],
  ];
  for (const [value, type, message] of wrong) {
    throwsSync(() => new Deno.KvU64(any(value)), type, message);
    for (const name of ["sum", "min", "max"] as const) {
      throwsSync(() => kv.atomic()[name](["a"], any(value)), type, message);
    }
  }
  for (const value of [0n, 2n ** 64n - 1n]) {
    equal(new Deno.KvU64(value).value, value);
    equal((await kv.atomic().min(["min"], value).max(["max"], value).sum(["sum"], value).commit()).ok, true);
  }
});

await test("a KvU64 cannot be changed", async () => {
  const value = any(new Deno.KvU64(1n));
  const message = "Cannot assign to read only property 'value' of object '[object Object]'";
  await throws(() => value.value = 2n, "TypeError", message);
  await throws(() => value.other = 1, "TypeError", "Cannot add property other, object is not extensible");
});

await test("the versionstamp of a check has 20 hex digits, or is null", async () => {
  using kv = await memory();
  const { versionstamp } = await kv.set(["a"], 1);
  const check = (versionstamp: unknown, key = ["a"]) => kv.atomic().check(any({ key, versionstamp })).commit();
  for (const wrong of ["x", "", "0".repeat(19), "0".repeat(21), "0".repeat(22), "g".repeat(20), ` ${versionstamp}`]) {
    await rejects(() => check(wrong), "TypeError", "Invalid check");
  }
  const message = "The versionstamp of a check must be a string";
  await rejects(() => check(5), "TypeError", plain(`${message}: received number`));
  await rejects(() => check({}), "TypeError", plain(`${message}: received object`));
  equal([(await check(versionstamp)).ok, (await check(versionstamp.toUpperCase())).ok], [true, true]);
  for (const other of ["0".repeat(20), "A".repeat(20), "f".repeat(20), null, undefined]) {
    equal(await check(other), { ok: false });
  }
  equal([(await check(null, ["b"])).ok, (await check(undefined, ["b"])).ok], [true, true]);
  equal(await check("0".repeat(20), ["b"]), { ok: false });
});

await test("a check has a key", async () => {
  using kv = await memory();
  const message = plain("A key must be an array: received undefined");
  await rejects(() => kv.atomic().check(any({ versionstamp: null })).commit(), "TypeError", message);
  await rejects(() => kv.atomic().check(any({})).commit(), "TypeError", message);
});

await test("keys of undelivered messages are arrays", async () => {
  using kv = await memory();
  for (const [wrong, what] of [["a", "A list of keys"], [["a"], "A key"]]) {
    const message = plain(`${what} must be an array: received string`);
    const options = { keysIfUndelivered: any(wrong) };
    await rejects(() => kv.enqueue(1, options), "TypeError", message);
    await rejects(() => kv.atomic().enqueue(1, options).commit(), "TypeError", message);
  }
});

await test("delays and schedules of other types reject the commit", async () => {
  using kv = await memory();
  const wrong: [unknown, string][] = [
    [{ delay: "1" }, "A delay must be a number of milliseconds: received string"],
    [{ backoffSchedule: ["1"] }, "A delay must be a number of milliseconds: received string"],
    [{ backoffSchedule: [null] }, "A delay must be a number of milliseconds: received null"],
    [{ backoffSchedule: "x" }, "backoffSchedule must be an array: received string"],
  ];
  for (const [options, text] of wrong) {
    const message = plain(text);
    await rejects(() => kv.enqueue(1, any(options)), "TypeError", message);
    await rejects(() => kv.atomic().enqueue(1, any(options)).commit(), "TypeError", message);
  }
});

/** All calls that reject on a closed database. */
const calls: Record<string, (kv: Deno.Kv) => unknown> = {
  get: (kv) => kv.get(["a"]),
  getMany: (kv) => kv.getMany([["a"]]),
  "getMany of nothing": (kv) => kv.getMany([]),
  set: (kv) => kv.set(["a"], 1),
  delete: (kv) => kv.delete(["a"]),
  "the first step of list": (kv) => kv.list({ prefix: [] }).next(),
  "an empty commit": (kv) => kv.atomic().commit(),
  commit: (kv) => kv.atomic().check({ key: ["a"], versionstamp: null }).set(["a"], 1).commit(),
  enqueue: (kv) => kv.enqueue(1),
};
for (const [name, call] of Object.entries(calls)) {
  await test(`${name} of a closed database rejects`, async () => {
    const kv = await memory();
    kv.close();
    for (let i = 0; i < 2; i++) await rejects(() => call(kv), "BadResource", "Bad resource ID");
    await throws(() => call(kv), Deno.errors.BadResource.name, "Bad resource ID");
  });
}

await test("listening to a closed database rejects", async () => {
  const kv = await memory();
  kv.close();
  await rejects(() => kv.listenQueue(() => {}), "Error", "Queue already closed");
});

await test("watching a closed database throws immediately", async () => {
  const kv = await memory();
  kv.close();
  throwsSync(() => kv.watch([["a"]]), "BadResource", "Bad resource ID");
});

await test("a database is closed once, but may be disposed repeatedly", async () => {
  const kv = await memory();
  equal(kv.close(), undefined);
  throwsSync(() => kv.close(), "BadResource", "Bad resource ID");
  for (let i = 0; i < 2; i++) equal(kv[Symbol.dispose](), undefined);
  throwsSync(() => kv.close(), "BadResource", "Bad resource ID");
  const disposed = await memory();
  disposed[Symbol.dispose]();
  throwsSync(() => disposed.close(), "BadResource", "Bad resource ID");
  await rejects(() => disposed.get(["a"]), "BadResource", "Bad resource ID");
});

await test("calls that only prepare an operation work on a closed database", async () => {
  const kv = await memory();
  kv.close();
  kv.list({ prefix: [] });
  kv.atomic().set(["a"], 1).sum(["b"], 1n).enqueue(1);
  equal(typeof kv.commitVersionstamp(), "symbol");
});

await test("invalid arguments are reported before a closed database", async () => {
  const kv = await memory();
  kv.close();
  const message = "expected string, number, bigint, ArrayBufferView, boolean";
  await rejects(() => kv.get([any({})]), "TypeError", message);
  await rejects(() => kv.set(["a"], Symbol("s")), "TypeError", "Symbol(s) could not be cloned.");
  const negative = "expireIn must be a non-negative integer: received -1";
  await rejects(() => kv.set(["a"], 1, { expireIn: -1 }), "TypeError", negative);
});

await test("a listing rejects after the database is closed", async () => {
  const kv = await memory();
  for (let i = 0; i < 3; i++) await kv.set([i], i);
  const list = kv.list({ prefix: [] }, { batchSize: 1 });
  equal((await list.next()).value?.value, 0);
  kv.close();
  await rejects(() => list.next(), "BadResource", "Bad resource ID");
});

await test("classes cannot be constructed", () => {
  throwsSync(
    () => new (any(Deno).Kv)(),
    "TypeError",
    "Deno.Kv can not be constructed: use Deno.openKv instead",
  );
  throwsSync(() => any(Deno).Kv(), "TypeError", "Class constructor Kv cannot be invoked without 'new'");
  throwsSync(() => any(Deno).KvU64(1n), "TypeError", "Class constructor KvU64 cannot be invoked without 'new'");
});

await test("an operation is not a promise, even if it is empty", async () => {
  using kv = await memory();
  const message = "'Deno.AtomicOperation' is not a promise: did you forget to call 'commit()'";
  throwsSync(() => any(kv.atomic()).then(), "TypeError", message);
  await throws(async () => await any(kv.atomic()), "TypeError", message);
  await throws(() => Promise.all([kv.atomic().set(["a"], 1)]), "TypeError", message);
  equal((await kv.get(["a"])).versionstamp, null);
});

await test("the symbol of the versionstamp is valid as the last part of a key to set only", async () => {
  using kv = await memory();
  const symbol = any(kv.commitVersionstamp());
  const message = "expected string, number, bigint, ArrayBufferView, boolean";
  for (const key of [["a", symbol], [symbol], [symbol, "a"]]) {
    await rejects(() => kv.get(key), "TypeError", message);
    await rejects(() => kv.getMany([key]), "TypeError", message);
    await rejects(() => kv.delete(key), "TypeError", message);
    await rejects(() => kv.list({ prefix: key }).next(), "TypeError", message);
    await rejects(() => kv.atomic().check({ key, versionstamp: null }).commit(), "TypeError", message);
    await rejects(() => kv.atomic().delete(key).commit(), "TypeError", message);
    await rejects(() => kv.atomic().sum(key, 1n).commit(), "TypeError", message);
    await rejects(() => kv.enqueue(1, { keysIfUndelivered: [key] }), "TypeError", message);
  }
  for (const key of [[symbol, "a"], [symbol, symbol], ["a", symbol, "b"]]) {
    await rejects(() => kv.set(key, 1), "TypeError", message);
    await rejects(() => kv.atomic().set(key, 1).commit(), "TypeError", message);
  }
  await rejects(() => kv.set([symbol], 1), "TypeError", "key cannot be empty");
  equal(await Array.fromAsync(kv.list({ prefix: [] })), []);
});

await test("a path must not be empty or start with a colon", async () => {
  await rejects(() => Deno.openKv(""), "TypeError", "Filename cannot be empty");
  for (const path of [":", ":x", ":memory", ":memory:x", ":MEMORY:"]) {
    const message = "Filename cannot start with ':' unless prefixed with './'";
    await rejects(() => Deno.openKv(path), "TypeError", message);
  }
});

await difference("a path is a string", "Deno takes other values for an empty path", async () => {
  for (const [path, type] of [[5, "number"], [{}, "object"], [new URL("file:///tmp/x.db"), "object"]]) {
    await rejects(() => Deno.openKv(any(path)), "TypeError", `The path of a database must be a string: received ${type}`);
  }
});

/** Checks that opening a file fails with a message. */
async function cannotOpen(path: string, reason: RegExp): Promise<void> {
  try {
    (await Deno.openKv(path)).close();
  } catch (error) {
    const { constructor, message } = error as Error;
    equal([constructor === Error, reason.test(message), message], [true, true, message]);
    return;
  }
  throw new Error(`opened ${path}`);
}

await test("an error opening a file includes its path", async () => {
  await cannotOpen("/nonexistent/x.db", /^unable to open database file: .*\/nonexistent\/x\.db/);
  await cannotOpen("/tmp", /^unable to open database file: .*\/tmp/);
});

await test("a file that is not a database is rejected", async () => {
  await cannotOpen(new URL(import.meta.url).pathname, /file is not a database/);
});
