import { difference, equal, memory, sleep, test, throwsSync } from "./harness.ts";

type Items = ReadableStreamDefaultReader<Deno.KvEntryMaybe<unknown>[]>;

/** Long enough for an unexpected item to arrive. */
const QUIET = 50;

/** Reads the next item, with a timeout. */
async function next(items: Items, milliseconds = 2000): Promise<Deno.KvEntryMaybe<unknown>[]> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no item within ${milliseconds} ms`)), milliseconds);
  });
  try {
    const { done, value } = await Promise.race([items.read(), late]);
    if (done) throw new Error("the stream has ended");
    return value;
  } finally {
    clearTimeout(timer);
  }
}

/** Reads the values of the next item. */
async function nextValues(items: Items): Promise<unknown[]> {
  return (await next(items)).map((entry) => entry.value);
}

/** Checks that a change emits no item, and that `end`, which changes a watched key, does. */
async function quiet(items: Items, change: () => Promise<unknown>, end: () => Promise<unknown>): Promise<void> {
  let arrived = false;
  const item = next(items).then(() => arrived = true);
  await change();
  await sleep(QUIET);
  const arrivedBefore = arrived;
  await end();
  await item;
  equal(arrivedBefore, false);
}

await test("a watcher is a readable stream", async () => {
  using kv = await memory();
  const stream = kv.watch([["a"]]);
  equal([stream instanceof ReadableStream, stream.locked], [true, false]);
  equal(Object.prototype.toString.call(stream), "[object ReadableStream]");
  await stream.cancel();
});

await test("the first item is the present state of all keys", async () => {
  using kv = await memory();
  const { versionstamp } = await kv.set(["a"], { b: 1 });
  const items = kv.watch([["none"], ["a"]]).getReader();
  equal(await next(items), [
    { key: ["none"], value: null, versionstamp: null },
    { key: ["a"], value: { b: 1 }, versionstamp },
  ]);
  await items.cancel();
});

await test("a change of one key emits an item with all keys", async () => {
  using kv = await memory();
  const keys = [["a"], ["b"], ["n"], ["bytes"]];
  const items = kv.watch(keys).getReader();
  equal(await nextValues(items), [null, null, null, null]);
  await kv.set(["b"], 2);
  equal(await next(items), await kv.getMany(keys));
  await kv.atomic().sum(["n"], 3n).commit();
  equal(await next(items), await kv.getMany(keys));
  await kv.set(["bytes"], new Uint8Array([1]));
  const last = await next(items);
  equal(last.map((entry) => entry.value), [null, 2, new Deno.KvU64(3n), new Uint8Array([1])]);
  equal(last, await kv.getMany(keys));
  await items.cancel();
});

await test("setting the same value again emits an item", async () => {
  using kv = await memory();
  await kv.set(["a"], 1);
  const items = kv.watch([["a"]]).getReader();
  const before = await next(items);
  const { versionstamp } = await kv.set(["a"], 1);
  equal(await next(items), [{ key: ["a"], value: 1, versionstamp }]);
  equal(before[0].versionstamp! < versionstamp, true);
  await items.cancel();
});

await test("a deleted key is null", async () => {
  using kv = await memory();
  await kv.set(["a"], 1);
  const items = kv.watch([["a"]]).getReader();
  equal(await nextValues(items), [1]);
  await kv.delete(["a"]);
  equal(await next(items), [{ key: ["a"], value: null, versionstamp: null }]);
  await items.cancel();
});

await test("commits that change no watched key emit no item", async () => {
  using kv = await memory();
  const items = kv.watch([["a"]]).getReader();
  equal(await nextValues(items), [null]);
  const set = () => kv.set(["a"], 1);
  await quiet(items, () => kv.set(["b"], 1), set);
  await quiet(items, () => kv.set(["a", "a"], 1), set);
  await quiet(items, () => kv.atomic().check({ key: ["a"], versionstamp: null }).set(["a"], 2).commit(), set);
  await kv.delete(["a"]);
  equal(await nextValues(items), [null]);
  await quiet(items, () => kv.delete(["a"]), set);
  await items.cancel();
});

await test("raw emits an item for each write of a watched key, even without a change", async () => {
  using kv = await memory();
  const items = kv.watch([["a"], ["b"]], { raw: true }).getReader();
  equal(await nextValues(items), [null, null]);
  await kv.set(["a"], 1);
  equal(await nextValues(items), [1, null]);
  await kv.set(["a"], 1);
  equal(await nextValues(items), [1, null]);
  for (let i = 0; i < 3; i++) {
    await kv.delete(["a"]);
    equal(await nextValues(items), [null, null]);
  }
  await quiet(items, () => kv.set(["c"], 1), () => kv.set(["a"], 1));
  await items.cancel();
});

for (const raw of [false, true]) {
  await test(`several keys changed by one commit emit one item${raw ? ", raw too" : ""}`, async () => {
    using kv = await memory();
    const items = kv.watch([["a"], ["b"], ["c"]], { raw }).getReader();
    equal(await nextValues(items), [null, null, null]);
    const result = await kv.atomic().set(["a"], 1).set(["b"], 2).set(["c"], 3).commit();
    const item = await next(items);
    equal(item.map((entry) => entry.value), [1, 2, 3]);
    const { versionstamp } = result as Deno.KvCommitResult;
    equal(item.map((entry) => entry.versionstamp), [versionstamp, versionstamp, versionstamp]);
    await quiet(items, () => Promise.resolve(), () => kv.set(["a"], 4));
    await items.cancel();
  });

  await test(`a slow reader misses items, but not the last state${raw ? ", raw too" : ""}`, async () => {
    using kv = await memory();
    const items = kv.watch([["a"]], { raw }).getReader();
    equal(await nextValues(items), [null]);
    for (let i = 0; i < 20; i++) await kv.set(["a"], i);
    await sleep(QUIET);
    const seen: unknown[] = [];
    while (seen.at(-1) !== 19) seen.push(...await nextValues(items));
    equal([seen.length <= 3, seen], [true, (seen as number[]).toSorted((a, b) => a - b)]);
    await items.cancel();
  });
}

await test("a failed commit emits no item", async () => {
  using kv = await memory();
  const items = kv.watch([["a"]]).getReader();
  equal(await nextValues(items), [null]);
  const stale = { key: ["b"], versionstamp: "00000000000000010000" };
  equal(await kv.atomic().check(stale).set(["a"], "no").commit(), { ok: false });
  await kv.set(["a"], "yes");
  equal(await nextValues(items), ["yes"]);
  await items.cancel();
});

await test("cancel closes the stream, and ends pending reads", async () => {
  using kv = await memory();
  const items = kv.watch([["a"]]).getReader();
  await next(items);
  const waiting = items.read();
  await items.cancel();
  equal([await waiting, await items.read()], Array(2).fill({ value: undefined, done: true }));
  equal(await items.closed, undefined);
  await kv.set(["a"], 1);
  equal((await kv.get(["a"])).value, 1);
});

await test("closing the database closes the stream, and ends pending reads", async () => {
  const kv = await memory();
  const items = kv.watch([["a"]]).getReader();
  await next(items);
  const waiting = items.read();
  kv.close();
  equal([await waiting, await items.read()], Array(2).fill({ value: undefined, done: true }));
  equal(await items.closed, undefined);
});

await test("disposing the database closes the stream", async () => {
  let items: Items;
  {
    using kv = await memory();
    items = kv.watch([["a"]]).getReader();
    await next(items);
  }
  equal(await items.read(), { value: undefined, done: true });
});

await test("a loop receives the items, and may break", async () => {
  using kv = await memory();
  const seen: unknown[] = [];
  const stream = kv.watch<[number]>([["a"]]);
  for await (const [entry] of stream) {
    seen.push(entry.value);
    if (entry.value === 3) break;
    await kv.set(["a"], (entry.value ?? 0) + 1);
  }
  equal(seen, [null, 1, 2, 3]);
  equal(stream.locked, false);
});

await test("a loop ends when the database is closed", async () => {
  const kv = await memory();
  let count = 0;
  for await (const _ of kv.watch([["a"]])) {
    count++;
    kv.close();
  }
  equal(count, 1);
});

await test("two watchers of a key both receive its changes", async () => {
  using kv = await memory();
  const one = kv.watch([["a"]]).getReader();
  const two = kv.watch([["b"], ["a"]]).getReader();
  equal([await nextValues(one), await nextValues(two)], [[null], [null, null]]);
  await kv.set(["a"], 1);
  equal([await nextValues(one), await nextValues(two)], [[1], [null, 1]]);
  await one.cancel();
  await kv.set(["a"], 2);
  equal(await nextValues(two), [null, 2]);
  await two.cancel();
});

await test("the keys are copied", async () => {
  using kv = await memory();
  await kv.set(["a"], 1);
  const key = ["a"];
  const items = kv.watch([key]).getReader();
  key[0] = "z";
  equal(await nextValues(items), [1]);
  await kv.set(["a"], 2);
  const [entry] = await next(items);
  equal([entry.key, entry.value], [["a"], 2]);
  await items.cancel();
});

await test("a key may be watched twice", async () => {
  using kv = await memory();
  const items = kv.watch([["a"], ["a"]]).getReader();
  equal(await nextValues(items), [null, null]);
  await kv.set(["a"], 1);
  equal(await nextValues(items), [1, 1]);
  await items.cancel();
});

await test("ten keys may be watched, and no more", async () => {
  using kv = await memory();
  const keys = Array.from({ length: 10 }, (_, i) => [i]);
  const items = kv.watch(keys).getReader();
  equal((await next(items)).map((entry) => entry.key), keys);
  await kv.set([9], 9);
  equal((await nextValues(items))[9], 9);
  await items.cancel();
  throwsSync(() => kv.watch([...keys, [10]]), "TypeError", "Too many keys (max 10)");
  equal(await kv.watch([]).getReader().read(), { value: undefined, done: true });
});

await test("invalid keys and closed databases throw synchronously", async () => {
  const kv = await memory();
  const long = "a".repeat(3000);
  const parts = "expected string, number, bigint, ArrayBufferView, boolean";
  throwsSync(() => kv.watch([[{} as string]]), "TypeError", parts);
  throwsSync(() => kv.watch([[long]]), "TypeError", "Key too large for read (max 2049 bytes)");
  kv.close();
  throwsSync(() => kv.watch([["a"]]), "BadResource", "Bad resource ID");
});

await difference(
  "a watched key that expires emits an item",
  "Deno notices expiry at its next sweep",
  async () => {
    using kv = await memory();
    const start = performance.now();
    await kv.atomic().set(["a"], 1, { expireIn: 1000 }).set(["b"], 2).commit();
    const items = kv.watch([["a"], ["b"]]).getReader();
    equal(await nextValues(items), [1, 2]);
    const item = await next(items, 2500);
    const elapsed = performance.now() - start;
    equal(item[0], { key: ["a"], value: null, versionstamp: null });
    equal(item[1].value, 2);
    if (elapsed < 990) throw new Error(`the item arrived after ${elapsed} ms`);
    await items.cancel();
  },
);
