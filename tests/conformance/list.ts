// deno-lint-ignore-file no-explicit-any
import { difference, equal, memory, rejects, test, throws } from "./harness.ts";

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

await test("a prefix lists the keys that start with it, in order", async () => {
  using kv = await alphabet();
  equal(await values(kv.list({ prefix: ["x"] })), ["a", "b", "c", "d", "e"]);
  equal(await values(kv.list({ prefix: [] })), ["prefix", "a", "b", "c", "d", "e", "outside"]);
  equal(await values(kv.list({ prefix: ["nothing"] })), []);
});

await test("a start is inclusive, an end is exclusive", async () => {
  using kv = await alphabet();
  equal(await values(kv.list({ prefix: ["x"], start: ["x", "b"] })), ["b", "c", "d", "e"]);
  equal(await values(kv.list({ prefix: ["x"], end: ["x", "d"] })), ["a", "b", "c"]);
  equal(await values(kv.list({ start: ["x", "b"], end: ["x", "d"] })), ["b", "c"]);
});

await test("types of key parts are listed in order", async () => {
  using kv = await memory();
  const keys: Deno.KvKey[] = [[new Uint8Array([255])], ["\u{10ffff}"], [-1n], [2n ** 70n], [-Infinity], [NaN], [false], [true]];
  for (const key of keys.toReversed()) await kv.set(key, 0);
  equal((await Array.fromAsync(kv.list({ prefix: [] }))).map((entry) => entry.key), keys);
});

await test("a limit applies in both directions and with any batch size", async () => {
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

await test("the cursor is that of the last entry, and empty at the end", async () => {
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

await test("many entries are listed completely", async () => {
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

/** Returns a generator of pseudo-random numbers, which are the same in each run. */
function randomOf(seed: number): (below: number) => number {
  return (below) => {
    seed = (Math.imul(seed, 1103515245) + 12345) >>> 0;
    return (seed >>> 16) % below;
  };
}

/** Combinations of options for a listing of 10 entries. */
const listings: Deno.KvListOptions[] = [undefined, 1, 4, 7, 10, 11].flatMap((limit) =>
  [undefined, 1, 2, 3, 5, 10].flatMap((batchSize) => [false, true].map((reverse) => ({ limit, batchSize, reverse })))
);

async function ten(): Promise<Deno.Kv> {
  const kv = await memory();
  for (let i = 0; i < 10; i++) await kv.set(["n", i], i);
  return kv;
}

const repeats = "on Deno, concurrent calls of next() return the same entry several times";

await difference("concurrent calls of next() return the entries in order", repeats, async () => {
  using kv = await ten();
  for (const [seed, options] of listings.entries()) {
    const random = randomOf(seed);
    const list = kv.list({ prefix: ["n"] }, options);
    const calls: Promise<IteratorResult<Deno.KvEntry<unknown>, undefined>>[] = [];
    const settled: number[] = [];
    while (calls.length < 16) {
      const first = calls.length;
      for (let count = 1 + random(4); count > 0; count--) {
        const i = calls.length;
        calls.push(list.next());
        calls[i].then(() => settled.push(i));
        // Some calls are made while others wait, or while they resume.
        if (random(3) === 0) for (let ticks = random(4); ticks > 0; ticks--) await undefined;
      }
      if (random(2) === 0) await calls[first + random(calls.length - first)];
    }
    const results = await Promise.all(calls);
    const all = Array.from({ length: 10 }, (_, i) => options.reverse ? 9 - i : i).slice(0, options.limit);
    const expected = Array.from({ length: results.length }, (_, i) => i < all.length ? all[i] : "done");
    equal([options, results.map((result) => result.done ? "done" : result.value.value)], [options, expected]);
    equal(settled, [...calls.keys()]);
    const rest = await Array.fromAsync(kv.list({ prefix: ["n"] }, { reverse: options.reverse, cursor: list.cursor || undefined }));
    equal(rest.length, list.cursor === "" ? 10 : 10 - all.length);
  }
});

await difference("the cursor is that of the last returned entry, also with concurrent calls", repeats, async () => {
  using kv = await ten();
  for (const batchSize of [1, 2, 3, 10]) {
    const list = kv.list({ prefix: ["n"] }, { batchSize });
    const cursors: string[] = [];
    const note = () => cursors.push(list.cursor);
    await Promise.all(Array.from({ length: 10 }, () => list.next().then(note)));
    const single = kv.list({ prefix: ["n"] });
    const expected: string[] = [];
    for (let i = 0; i < 10; i++) {
      await single.next();
      expected.push(single.cursor);
    }
    equal(cursors.at(-1), expected.at(-1));
    equal(cursors.every((cursor) => expected.includes(cursor)), true);
    equal(cursors, cursors.toSorted((a, b) => expected.indexOf(a) - expected.indexOf(b)));
  }
});

await difference("a listing continues after a script has changed the keys of entries", "on Deno, the next batch fails", async () => {
  using kv = await ten();
  const read: unknown[] = [];
  for await (const entry of kv.list({ prefix: ["n"] }, { batchSize: 3 })) {
    read.push(entry.value);
    (entry.key as unknown[]).reverse();
  }
  equal(read, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
});

await test("closing rejects each step that waits", async () => {
  const kv = await ten();
  const list = kv.list({ prefix: ["n"] }, { batchSize: 2 });
  equal((await list.next()).value?.value, 0);
  equal((await list.next()).value?.value, 1);
  kv.close();
  const calls = [list.next(), list.next(), list.next()];
  for (const call of calls) await rejects(() => call, "BadResource", "Bad resource ID");
  await rejects(() => list.next(), "BadResource", "Bad resource ID");
});

await test("only true reverses a listing", async () => {
  using kv = await ten();
  for (const reverse of ["", 0, 1, "1", "true", {}, null, undefined, false, Object(true)] as any[]) {
    equal((await kv.list({ prefix: ["n"] }, { reverse }).next()).value?.value, 0);
  }
  equal((await kv.list({ prefix: ["n"] }, { reverse: true }).next()).value?.value, 9);
});
