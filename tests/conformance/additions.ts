// Additions that Deno lacks, in its types as well.
// deno-lint-ignore-file no-explicit-any
import { difference, equal, memory, rejects, sleep, throws } from "./harness.ts";

type Entry = Deno.KvEntry<unknown> & { cursor: string };

/** Runs a test of options in a selector. */
function selecting(name: string, body: () => unknown): Promise<void> {
  return difference(name, "the guide passes options inside the selector; Deno ignores them", body);
}

/** Runs a test of an addition. */
function addition(name: string, body: () => unknown): Promise<void> {
  return difference(name, "an addition of OpenKV", body);
}

/** Opens a database with the keys x, x a .. x e, and z. Its type allows the additions. */
async function alphabet(): Promise<any> {
  const kv = await memory();
  await kv.set(["z"], "outside");
  await kv.set(["x"], "prefix");
  for (const letter of "badec") await kv.set(["x", letter], letter);
  return kv;
}

async function values(list: AsyncIterable<Deno.KvEntry<unknown>>): Promise<string> {
  return (await Array.fromAsync(list)).map((entry) => entry.value).join("");
}

/** Invalid selectors, and their errors. */
const wrongSelectors: [unknown, string][] = [
  [{}, "Selector must specify either 'prefix' or both 'start' and 'end' key"],
  [{ start: ["a"] }, "Selector must specify either 'prefix' or both 'start' and 'end' key"],
  [{ end: ["a"] }, "Selector must specify either 'prefix' or both 'start' and 'end' key"],
  [{ prefix: ["a"], start: ["b"] }, "Start key is not in the keyspace defined by prefix"],
  [{ prefix: ["a"], end: ["b"] }, "End key is not in the keyspace defined by prefix"],
  [{ start: ["b"], end: ["a"] }, "Start key is greater than end key"],
  [{ prefix: [{}] }, "expected string, number, bigint, ArrayBufferView, boolean"],
];

await selecting("a selector may have a limit", async () => {
  using kv = await alphabet();
  equal(await values(kv.list({ prefix: ["x"], limit: 2 })), "ab");
  equal(await values(kv.list({ start: ["x", "b"], end: ["x", "e"], limit: 2 })), "bc");
  equal(await values(kv.list({ prefix: ["x"], limit: 5, batchSize: 2 })), "abcde");
});

await selecting("a selector may have a direction", async () => {
  using kv = await alphabet();
  equal(await values(kv.list({ prefix: ["x"], reverse: true })), "edcba");
  equal(await values(kv.list({ prefix: ["x"], reverse: true, limit: 2 })), "ed");
});

await selecting("a selector may have a cursor", async () => {
  using kv = await alphabet();
  for (const reverse of [false, true]) {
    const pages: string[] = [];
    let cursor: string | undefined;
    do {
      const page = kv.list({ prefix: ["x"], limit: 2, reverse, cursor });
      pages.push(await values(page));
      cursor = page.cursor;
    } while (cursor !== "" && pages.length < 5);
    equal(pages.filter((page) => page !== ""), reverse ? ["ed", "cb", "a"] : ["ab", "cd", "e"]);
  }
});

await selecting("invalid options in a selector are rejected", async () => {
  using kv = await alphabet();
  const list = (options: unknown) => kv.list({ prefix: ["x"], ...options as object }).next();
  await throws(() => list({ limit: 0 }), "Error", "Limit must be a positive integer: received 0");
  await throws(() => list({ batchSize: -1 }), "Error", "batchSize must be a positive integer: received -1");
  await throws(() => list({ batchSize: 1001 }), "TypeError", "Too many entries (max 1000)");
  await throws(() => list({ cursor: "!" }), "TypeError", "invalid cursor");
});

await selecting("the second argument takes precedence over the selector", async () => {
  using kv = await alphabet();
  equal(await values(kv.list({ prefix: ["x"], limit: 1 }, { limit: 3 })), "abc");
  equal(await values(kv.list({ prefix: ["x"], reverse: true }, { reverse: false })), "abcde");
  equal(await values(kv.list({ prefix: ["x"], limit: 2 }, { reverse: true })), "ed");
  equal(await values(kv.list({ prefix: ["x"], limit: 2, reverse: true }, {})), "ed");
});

await addition("a prefix, a start and an end select a range within the prefix", async () => {
  using kv = await alphabet();
  const selector = { prefix: ["x"], start: ["x", "b"], end: ["x", "d"] };
  equal(await values(kv.list(selector)), "bc");
  equal(await values(kv.list(selector, { reverse: true })), "cb");
  equal(await values(kv.list(selector, { limit: 1 })), "b");
  equal(await values(kv.list({ ...selector, end: ["x", "b"] })), "");
  const page = kv.list(selector, { limit: 1 });
  await values(page);
  equal(await values(kv.list(selector, { cursor: page.cursor })), "c");
});

await addition("a range outside of its prefix is rejected", async () => {
  using kv = await alphabet();
  const list = (start: Deno.KvKey, end: Deno.KvKey) => kv.list({ prefix: ["x"], start, end }).next();
  await throws(() => list(["w"], ["x", "b"]), "TypeError", "Start key is not in the keyspace defined by prefix");
  await throws(() => list(["x", "a"], ["z"]), "TypeError", "End key is not in the keyspace defined by prefix");
  await throws(() => list(["x", "b"], ["x", "a"]), "TypeError", "Start key is greater than end key");
});

await addition("a listed entry has the cursor that continues after it", async () => {
  using kv = await alphabet();
  const selectors: [object, string][] = [
    [{ prefix: ["x"] }, "abcde"],
    [{ start: ["x", "a"], end: ["x", "z"] }, "abcde"],
    [{ prefix: ["x"], start: ["x", "b"] }, "bcde"],
  ];
  for (const [selector, all] of selectors) {
    for (const reverse of [false, true]) {
      const expected = reverse ? [...all].reverse().join("") : all;
      for (const batchSize of [2, 100]) {
        const entries: Entry[] = await Array.fromAsync(kv.list(selector, { reverse, batchSize }));
        equal(entries.map((entry) => entry.value).join(""), expected);
        for (const [i, { cursor }] of entries.entries()) {
          equal(typeof cursor, "string");
          equal(await values(kv.list(selector, { reverse, cursor })), expected.slice(i + 1));
        }
      }
    }
  }
});

await addition("the cursor of an entry is that of the iterator", async () => {
  using kv = await alphabet();
  const list = kv.list({ prefix: ["x"] }, { batchSize: 2 });
  for (let step = await list.next(); !step.done; step = await list.next()) equal(step.value.cursor, list.cursor);
  const first = await kv.list({ prefix: ["x"] }).next();
  equal(first.value.cursor, "AmEA");
});

await addition("the cursor of an entry is not enumerable", async () => {
  using kv = await alphabet();
  const entry: Entry = (await kv.list({ prefix: ["x"] }).next()).value;
  equal(entry.cursor, "AmEA");
  const { key, value, versionstamp } = entry;
  const plain = { key, value, versionstamp };
  const names = ["key", "value", "versionstamp"];
  const inLoop: string[] = [];
  for (const name in entry) inLoop.push(name);
  equal([Object.keys(entry), inLoop], [names, names]);
  equal(Object.entries(entry), Object.entries(plain));
  equal([entry, { ...entry }, Object.assign({}, entry)], [plain, plain, plain]);
  equal(("cursor" in { ...entry }), false);
  equal(JSON.stringify(entry), JSON.stringify(plain));
  equal(("cursor" in structuredClone(entry)), false);
  equal(structuredClone(entry), plain);
  equal(Object.prototype.propertyIsEnumerable.call(entry, "cursor"), false);
  equal(Deno.inspect(entry), Deno.inspect(plain));
});

await addition("entries of get and getMany have no cursor", async () => {
  using kv = await alphabet();
  equal(typeof (await kv.list({ prefix: ["x"] }).next()).value.cursor, "string");
  const entries = [await kv.get(["x", "a"]), ...await kv.getMany([["x", "a"], ["none"]])];
  equal(entries.map((entry) => entry.cursor), [undefined, undefined, undefined]);
});

await addition("the option values is converted to a boolean", async () => {
  using kv = await memory();
  await kv.set(["a"], 1);
  for (const values of [1, "yes", {}, [], Symbol("s"), 0, "", NaN, 0n, false, undefined, null]) {
    const options = { values: values as any };
    const expected = values ?? true ? 1 : undefined;
    for await (const entry of kv.list({ prefix: [] }, options)) equal(entry.value, expected);
    for await (const entry of kv.list({ prefix: [], ...options })) equal(entry.value, expected);
  }
});

await addition("a listing may omit values", async () => {
  using kv = await alphabet();
  for (const options of [{}, { reverse: true, limit: 3 }, { batchSize: 2 }]) {
    const whole: Entry[] = await Array.fromAsync(kv.list({ prefix: ["x"] }, options));
    const bare: Entry[] = await Array.fromAsync(kv.list({ prefix: ["x"] }, { ...options, values: false }));
    equal(bare.map((entry) => entry.value), whole.map(() => undefined));
    const rest = ({ key, versionstamp, cursor }: Entry) => [key, versionstamp, cursor];
    equal(bare.map(rest), whole.map(rest));
  }
  equal(await values(kv.list({ prefix: ["x"] }, { values: true })), "abcde");
  equal(await values(kv.list({ prefix: ["x"] }, { values: undefined })), "abcde");
});

await addition("getExpiries returns when entries expire", async () => {
  using kv: any = await memory();
  const before = Date.now();
  const { versionstamp } = await kv.atomic().set(["a"], 1, { expireIn: 3_600_000 }).set(["b"], 2).commit();
  const promise = kv.getExpiries([["b"], ["a"], ["none"], ["a"]]);
  equal(promise instanceof Promise, true);
  const [b, a, none, again] = await promise;
  equal(b, { key: ["b"], versionstamp, expiresAt: null });
  equal(none, { key: ["none"], versionstamp: null, expiresAt: null });
  equal(again, a);
  equal([a.key, a.versionstamp], [["a"], versionstamp]);
  // The clock of a server may differ from that of the script.
  equal(Math.abs(a.expiresAt - 3_600_000 - before) < 600_000, true);
  equal(await kv.getExpiries([]), []);
});

await addition("getExpiries sees the expiry of the latest write, awaited or not", async () => {
  using kv: any = await memory();
  const expiresAt = async () => (await kv.getExpiries([["n"]]))[0].expiresAt;
  kv.set(["n"], new Deno.KvU64(1n), { expireIn: 1e10 });
  const first = await expiresAt();
  equal(typeof first, "number");
  // Sums keep it.
  kv.atomic().sum(["n"], 1n).commit();
  equal(await expiresAt(), first);
  kv.set(["n"], 1, { expireIn: 1e11 });
  equal(await expiresAt() > first, true);
  kv.set(["n"], 1);
  equal(await expiresAt(), null);
  await kv.set(["n"], 1, { expireIn: 0 });
  equal(await kv.getExpiries([["n"]]), [{ key: ["n"], versionstamp: null, expiresAt: null }]);
});

await addition("getExpiries reads up to 1000 keys", async () => {
  const kv: any = await memory();
  const keys = Array.from({ length: 1000 }, (_, i) => ["n", i]);
  for (let i = 0; i < 1000; i += 500) {
    const atomic = kv.atomic();
    for (const key of keys.slice(i, i + 500)) atomic.set(key, null, { expireIn: 1e12 + (key[1] as number) * 1e6 });
    await atomic.commit();
  }
  const expiries = await kv.getExpiries(keys);
  equal(expiries.map(({ key }: any) => key), keys);
  const times = expiries.map(({ expiresAt }: any) => expiresAt);
  equal(times, times.toSorted((a: number, b: number) => a - b));
  equal(times.every((time: number) => time > 1e12), true);
  await rejects(() => kv.getExpiries([...keys, ["a"]]), "TypeError", "Too many entries (max 1000)");
  await rejects(() => kv.getExpiries([["n".repeat(3000)]]), "TypeError", "Key too large for read (max 2049 bytes)");
  await rejects(() => kv.getExpiries([[{}]]), "TypeError");
  await rejects(() => kv.getExpiries(), "TypeError");
  kv.close();
  await rejects(() => kv.getExpiries([["n"]]), "BadResource", "Bad resource ID");
});

await addition("count counts the entries of a selector", async () => {
  using kv = await alphabet();
  const promise = kv.count({ prefix: ["x"] });
  equal([promise instanceof Promise, await promise], [true, 5]);
  equal(await kv.count({ prefix: [] }), 7);
  equal(await kv.count({ prefix: ["none"] }), 0);
  equal(await kv.count({ start: ["x", "b"], end: ["x", "d"] }), 2);
  equal(await kv.count({ start: ["x"], end: ["x", "d"] }), 4);
  equal(await kv.count({ prefix: ["x"], start: ["x", "c"] }), 3);
  equal(await kv.count({ prefix: ["x"], end: ["x", "c"] }), 2);
  equal(await kv.count({ prefix: ["x"], start: ["x", "b"], end: ["x", "d"] }), 2);
  await kv.delete(["x", "b"]);
  equal(await kv.count({ prefix: ["x"] }), 4);
});

await addition("count counts more than one batch", async () => {
  using kv = await alphabet();
  for (let i = 0; i < 3; i++) {
    const atomic = kv.atomic();
    for (let j = 0; j < 500; j++) atomic.set(["n", i, j], null);
    await atomic.commit();
  }
  equal(await kv.count({ prefix: ["n"] }), 1500);
  equal(await kv.count({ prefix: ["n", 1] }), 500);
});

await addition("count excludes expired entries", async () => {
  using kv = await alphabet();
  await kv.set(["x", "b"], "b", { expireIn: 50 });
  await kv.set(["x", "c"], "c", { expireIn: 10000 });
  equal(await kv.count({ prefix: ["x"] }), 5);
  await sleep(60);
  equal(await kv.count({ prefix: ["x"] }), 4);
});

await addition("count rejects the selectors that list rejects", async () => {
  const kv = await alphabet();
  try {
    for (const [selector, message] of wrongSelectors) {
      await throws(() => kv.list(selector).next(), "TypeError", message);
      await rejects(() => kv.count(selector), "TypeError", message);
    }
  } finally {
    kv.close();
  }
  await rejects(() => kv.count({ prefix: ["x"] }), "BadResource", "Bad resource ID");
});

await addition("deleteRange deletes the entries of a selector, and counts them", async () => {
  using kv = await alphabet();
  for (let i = 0; i < 10; i++) await kv.set(["n", i], i);
  const promise = kv.deleteRange({ prefix: ["n"] });
  equal([promise instanceof Promise, await promise], [true, 10]);
  equal(await kv.deleteRange({ prefix: ["n"] }), 0);
  equal(await kv.deleteRange({ start: ["x", "d"], end: ["x", "z"] }), 2);
  equal(await values(kv.list({ prefix: [] })), "prefixabcoutside");
  equal(await kv.deleteRange({ prefix: ["x"], start: ["x", "b"], end: ["x", "c"] }), 1);
  equal(await values(kv.list({ prefix: [] })), "prefixacoutside");
  equal(await kv.deleteRange({ prefix: ["x"] }), 2);
  equal(await values(kv.list({ prefix: [] })), "prefixoutside");
  equal(await kv.deleteRange({ prefix: [] }), 2);
  equal(await values(kv.list({ prefix: [] })), "");
});

await addition("deleteRange notifies watchers", async () => {
  using kv = await alphabet();
  const items = kv.watch([["x", "a"], ["z"]]).getReader();
  const next = async () => (await items.read()).value.map((entry: Entry) => entry.value);
  equal(await next(), ["a", "outside"]);
  equal(await kv.deleteRange({ prefix: ["x"] }), 5);
  equal(await next(), [null, "outside"]);
  await items.cancel();
});

await addition("deleteRange makes checks fail", async () => {
  using kv = await alphabet();
  const entry = await kv.get(["x", "a"]);
  equal(await kv.deleteRange({ prefix: ["x"] }), 5);
  equal(await kv.atomic().check(entry).set(["y"], 1).commit(), { ok: false });
  equal((await kv.atomic().check({ key: ["x", "a"], versionstamp: null }).set(["y"], 1).commit()).ok, true);
});

await addition("deleteRange rejects the selectors that list rejects, and deletes nothing", async () => {
  const kv = await alphabet();
  try {
    for (const [selector, message] of wrongSelectors) {
      await rejects(() => kv.deleteRange(selector), "TypeError", message);
    }
    equal(await values(kv.list({ prefix: [] })), "prefixabcdeoutside");
  } finally {
    kv.close();
  }
  await rejects(() => kv.deleteRange({ prefix: ["x"] }), "BadResource", "Bad resource ID");
});

await addition("a failed commit has the keys of the failed checks, in order", async () => {
  using kv = await alphabet();
  const check = (...key: string[]) => ({ key, versionstamp: null });
  const result = await kv.atomic().check(check("z"), check("none")).check(check("x", "b")).check(check("x", "a"))
    .set(["y"], 1).commit();
  equal(Array.isArray(result.failedChecks), true);
  equal(result.failedChecks, [["z"], ["x", "b"], ["x", "a"]]);
  equal((await kv.get(["y"])).versionstamp, null);
  const stale = { key: ["z"], versionstamp: "00000000000000000000" };
  equal((await kv.atomic().check(stale).commit()).failedChecks, [["z"]]);
});

await addition("the keys of failed checks are not enumerable", async () => {
  using kv = await alphabet();
  const result = await kv.atomic().check({ key: ["z"], versionstamp: null }).commit();
  equal(result.failedChecks, [["z"]]);
  equal([result, { ...result }, structuredClone(result)], Array(3).fill({ ok: false }));
  equal([JSON.stringify(result), Object.keys(result)], ['{"ok":false}', ["ok"]]);
  equal(Object.prototype.propertyIsEnumerable.call(result, "failedChecks"), false);
  const done = await kv.atomic().check({ key: ["none"], versionstamp: null }).set(["none"], 1).commit();
  equal([done.ok, done.failedChecks, "failedChecks" in done], [true, undefined, false]);
});

await addition("the first read of an event-loop tick is done within the tick", async () => {
  using kv = await memory();
  for (let i = 0; i < 20; i++) {
    // Longer than the time budget of reads within one tick.
    await sleep(3);
    let done = false;
    kv.get(["a"]).then(() => done = true);
    for (let i = 0; i < 10; i++) await null;
    equal([i, done], [i, true]);
  }
});
