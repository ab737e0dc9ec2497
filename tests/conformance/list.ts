import { equal, memory, test, throws } from "./harness.ts";

async function values(list: AsyncIterable<Deno.KvEntry<unknown>>): Promise<unknown[]> {
  return (await Array.fromAsync(list)).map((entry) => entry.value);
}

async function alphabet(): Promise<Deno.Kv> {
  const kv = await memory();
  await kv.set(["z"], "outside");
  await kv.set(["x"], "prefix");
  for (const letter of "badec") await kv.set(["x", letter], letter);
  return kv;
}

await test("a prefix lists what is below it, in the order of the keys", async () => {
  using kv = await alphabet();
  equal(await values(kv.list({ prefix: ["x"] })), ["a", "b", "c", "d", "e"]);
  equal(await values(kv.list({ prefix: [] })), ["prefix", "a", "b", "c", "d", "e", "outside"]);
  equal(await values(kv.list({ prefix: ["nothing"] })), []);
});

await test("a start is listed, an end is not", async () => {
  using kv = await alphabet();
  equal(await values(kv.list({ prefix: ["x"], start: ["x", "b"] })), ["b", "c", "d", "e"]);
  equal(await values(kv.list({ prefix: ["x"], end: ["x", "d"] })), ["a", "b", "c"]);
  equal(await values(kv.list({ start: ["x", "b"], end: ["x", "d"] })), ["b", "c"]);
});

await test("types of key parts come in their order", async () => {
  using kv = await memory();
  const keys: Deno.KvKey[] = [[new Uint8Array([255])], ["\u{10ffff}"], [-1n], [2n ** 70n], [-Infinity], [NaN], [false], [true]];
  for (const key of keys.toReversed()) await kv.set(key, 0);
  equal((await Array.fromAsync(kv.list({ prefix: [] }))).map((entry) => entry.key), keys);
});

await test("a listing has its limit, in both directions and any batch size", async () => {
  using kv = await alphabet();
  for (const batchSize of [1, 2, 3, 500]) {
    equal(await values(kv.list({ prefix: ["x"] }, { limit: 3, batchSize })), ["a", "b", "c"]);
    equal(await values(kv.list({ prefix: ["x"] }, { limit: 3, batchSize, reverse: true })), ["e", "d", "c"]);
    equal(await values(kv.list({ prefix: ["x"] }, { batchSize, reverse: true })), ["e", "d", "c", "b", "a"]);
  }
});

await test("a cursor continues in both directions", async () => {
  using kv = await alphabet();
  for (const reverse of [false, true]) {
    const all = await values(kv.list({ prefix: ["x"] }, { reverse }));
    const paged: unknown[] = [];
    let cursor: string | undefined;
    do {
      const page = kv.list({ prefix: ["x"] }, { limit: 2, reverse, cursor });
      paged.push(...await values(page));
      cursor = page.cursor;
    } while (cursor !== "");
    equal(paged, all);
  }
});

await test("a cursor is that of the entry before, and empty at the end", async () => {
  using kv = await alphabet();
  const list = kv.list({ prefix: ["x"] });
  await throws(() => list.cursor, "Error", "Cannot get cursor before first iteration");
  await list.next();
  equal(list.cursor, "AmEA");
  await Array.fromAsync(list);
  equal(list.cursor, "");
  equal(await list.next(), { done: true, value: undefined });
});

await test("a selector and its keys are copied", async () => {
  using kv = await alphabet();
  const prefix = ["x"];
  const selector = { prefix };
  const list = kv.list(selector, { batchSize: 1 });
  prefix[0] = "z";
  selector.prefix = ["z"];
  equal(await values(list), ["a", "b", "c", "d", "e"]);
});

await test("many entries are listed whole", async () => {
  using kv = await memory();
  for (let i = 0; i < 1200; i += 400) {
    const atomic = kv.atomic();
    for (let j = i; j < i + 400; j++) atomic.set(["n", j], j);
    await atomic.commit();
  }
  const expected = Array.from({ length: 1200 }, (_, i) => i);
  equal(await values(kv.list({ prefix: ["n"] })), expected);
  equal(await values(kv.list({ prefix: ["n"] }, { batchSize: 1000, reverse: true })), expected.toReversed());
});
