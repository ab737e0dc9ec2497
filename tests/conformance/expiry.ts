import { difference, equal, memory, rejects, sleep, test, throwsSync } from "./harness.ts";

/** Runs a test of a value that has expired. */
function expired(name: string, body: () => unknown): Promise<void> {
  return difference(name, "Deno keeps expired values until its next sweep", body);
}

/** The ways to set a value that expires. */
const ways: [string, (kv: Deno.Kv, key: Deno.KvKey, value: unknown, expireIn?: number) => Promise<unknown>][] = [
  ["set", (kv, key, value, expireIn) => kv.set(key, value, { expireIn })],
  ["an operation", (kv, key, value, expireIn) => kv.atomic().set(key, value, { expireIn }).commit()],
  ["mutate", (kv, key, value, expireIn) => kv.atomic().mutate({ type: "set", key, value, expireIn }).commit()],
];

/** Sets a value, and waits until it has expired. Returns its entry. */
async function expire(kv: Deno.Kv, key: Deno.KvKey, value: unknown): Promise<Deno.KvEntryMaybe<unknown>> {
  const set = Date.now();
  await kv.set(key, value, { expireIn: 50 });
  const entry = await kv.get(key);
  // On a loaded machine, the read may come after the expiry.
  if (Date.now() - set >= 50) return await expire(kv, key, value);
  equal(entry.value, value);
  await sleep(60);
  return entry;
}

async function keys(list: AsyncIterable<Deno.KvEntry<unknown>>): Promise<Deno.KvKey[]> {
  return (await Array.fromAsync(list)).map((entry) => entry.key);
}

for (const [how, set] of ways) {
  await test(`a value of ${how} exists before it expires`, async () => {
    using kv = await memory();
    await set(kv, ["a"], 1, 10000);
    const entry = await kv.get(["a"]);
    equal([entry.value, await kv.getMany([["a"]])], [1, [entry]]);
    equal(await keys(kv.list({ prefix: [] })), [["a"]]);
    equal(await kv.atomic().check({ key: ["a"], versionstamp: null }).set(["b"], 1).commit(), { ok: false });
    equal((await kv.atomic().check(entry).set(["b"], 1).commit()).ok, true);
  });

  await test(`a value of ${how} without an expiry removes an earlier one`, async () => {
    using kv = await memory();
    for (const expireIn of [50, undefined]) await set(kv, ["a"], expireIn, expireIn);
    await sleep(60);
    equal((await kv.get(["a"])).versionstamp === null, false);
  });

  await expired(`a value of ${how} does not exist after it has expired`, async () => {
    using kv = await memory();
    await set(kv, ["a"], 1, 10000);
    equal((await kv.get(["a"])).value, 1);
    await set(kv, ["a"], 1, 50);
    await sleep(60);
    equal(await kv.get(["a"]), { key: ["a"], value: null, versionstamp: null });
  });

  await expired(`a value of ${how} that expires immediately does not exist`, async () => {
    using kv = await memory();
    await kv.set(["a"], 1);
    await set(kv, ["a"], 2, 0);
    equal(await kv.get(["a"]), { key: ["a"], value: null, versionstamp: null });
  });

  await expired(`a later value of ${how} has its own expiry`, async () => {
    using kv = await memory();
    await set(kv, ["longer"], 1, 50);
    await set(kv, ["longer"], 2, 10000);
    await set(kv, ["shorter"], 1, 10000);
    await set(kv, ["shorter"], 2, 50);
    await sleep(60);
    equal((await kv.getMany([["longer"], ["shorter"]])).map((entry) => entry.value), [2, null]);
  });
}

await expired("getMany returns no expired value", async () => {
  using kv = await memory();
  await kv.set(["b"], 2);
  await expire(kv, ["a"], 1);
  const entries = await kv.getMany([["a"], ["b"], ["a"]]);
  equal(entries.map(({ key, value }) => [key, value]), [[["a"], null], [["b"], 2], [["a"], null]]);
  equal(entries[0].versionstamp, null);
});

await expired("a listing excludes expired values, also from its limit", async () => {
  using kv = await memory();
  for (const letter of "aceg") await kv.set(["x", letter], 1, { expireIn: 50 });
  for (const letter of "bdf") await kv.set(["x", letter], 2);
  await sleep(60);
  equal(await keys(kv.list({ prefix: ["x"] })), [["x", "b"], ["x", "d"], ["x", "f"]]);
  equal(await keys(kv.list({ prefix: ["x"] }, { limit: 2, batchSize: 1 })), [["x", "b"], ["x", "d"]]);
  equal(await keys(kv.list({ prefix: ["x"] }, { limit: 2, reverse: true })), [["x", "f"], ["x", "d"]]);
  equal(await keys(kv.list({ start: ["x", "e"], end: ["x", "f"] })), []);
});

await expired("an expired value is absent for checks", async () => {
  using kv = await memory();
  const { versionstamp } = await expire(kv, ["a"], 1);
  equal(await kv.atomic().check({ key: ["a"], versionstamp }).set(["b"], 1).commit(), { ok: false });
  equal((await kv.atomic().check({ key: ["a"], versionstamp: null }).set(["b"], 2).commit()).ok, true);
  equal((await kv.get(["b"])).value, 2);
});

await expired("an operation that checks an expired value enqueues", async () => {
  using kv = await memory();
  await expire(kv, ["a"], 1);
  const result = await kv.atomic().check({ key: ["a"], versionstamp: null }).enqueue("message").commit();
  equal(result.ok, true);
  equal(await new Promise((resolve) => void kv.listenQueue(resolve)), "message");
});

for (const [type, old, operand] of [["sum", 5n, 2n], ["min", 5n, 7n], ["max", 5n, 3n]] as const) {
  await expired(`${type} replaces an expired value, and does not expire`, async () => {
    using kv = await memory();
    await expire(kv, ["n"], new Deno.KvU64(old));
    await kv.atomic()[type](["n"], operand).commit();
    equal((await kv.get(["n"])).value, new Deno.KvU64(operand));
    await sleep(60);
    equal((await kv.get(["n"])).value, new Deno.KvU64(operand));
  });

  await expired(`${type} treats an expired value of another kind as absent`, async () => {
    using kv = await memory();
    await expire(kv, ["n"], "text");
    await kv.atomic()[type](["n"], operand).commit();
    equal((await kv.get(["n"])).value, new Deno.KvU64(operand));
  });

  await test(`${type} combines with a value that will expire`, async () => {
    using kv = await memory();
    await kv.set(["n"], new Deno.KvU64(old), { expireIn: 10000 });
    await kv.atomic()[type](["n"], operand).commit();
    equal((await kv.get(["n"])).value, new Deno.KvU64({ sum: 7n, min: 5n, max: 5n }[type]));
  });

  await difference(`${type} keeps the expiry of a value`, "Deno drops it", async () => {
    using kv = await memory();
    let began: number;
    let value: unknown;
    // On a loaded machine, it may expire before it is combined.
    do {
      began = Date.now();
      await kv.set(["n"], new Deno.KvU64(old), { expireIn: 200 });
      await kv.atomic()[type](["n"], operand).commit();
      value = (await kv.get(["n"])).value;
    } while (Date.now() - began >= 200);
    equal(value, new Deno.KvU64({ sum: 7n, min: 5n, max: 5n }[type]));
    await sleep(210);
    equal(await kv.get(["n"]), { key: ["n"], value: null, versionstamp: null });
  });
}

await test("an expired key may be set and deleted", async () => {
  using kv = await memory();
  await expire(kv, ["a"], 1);
  await kv.delete(["a"]);
  equal((await kv.get(["a"])).versionstamp, null);
  await expire(kv, ["a"], 1);
  const { versionstamp } = await kv.set(["a"], 2);
  equal(await kv.get(["a"]), { key: ["a"], value: 2, versionstamp });
});

await test("an expiry is a non-negative integer of milliseconds", async () => {
  using kv = await memory();
  for (const expireIn of [-1, 1.5, NaN, Infinity, "5", 5n, null] as number[]) {
    const message = `expireIn must be a non-negative integer: received ${expireIn}`;
    await rejects(() => kv.set(["a"], 1, { expireIn }), "TypeError", message);
    throwsSync(() => kv.atomic().set(["a"], 1, { expireIn }), "TypeError", message);
  }
  for (const expireIn of [-1, 1.5, NaN, Infinity]) {
    const message = `expireIn must be a non-negative integer: received ${expireIn}`;
    throwsSync(() => kv.atomic().mutate({ type: "set", key: ["a"], value: 1, expireIn }), "TypeError", message);
  }
  equal(await kv.get(["a"]), { key: ["a"], value: null, versionstamp: null });
  await kv.set(["a"], 1, { expireIn: 1e15 });
  await kv.set(["b"], 1, { expireIn: undefined });
  equal((await kv.getMany([["a"], ["b"]])).map((entry) => entry.value), [1, 1]);
});

await test("an expiry has a maximum", async () => {
  using kv = await memory();
  const expireIn = Number.MAX_SAFE_INTEGER;
  const message = `Invalid mutation: expireIn is too large: ${expireIn}`;
  for (const [, set] of ways) await rejects(() => set(kv, ["a"], 1, expireIn), "TypeError", message);
});
