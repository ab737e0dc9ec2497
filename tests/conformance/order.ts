// Calls on one database take effect in the order in which they are made, whether or not they are awaited.

import { difference, equal, memory, test, throws } from "./harness.ts";

/** Runs a test in memory and on a file. */
async function eachPlace(name: string, run: (kv: Deno.Kv) => Promise<void>): Promise<void> {
  await test(`${name}, in memory`, async () => {
    using kv = await memory();
    await run(kv);
  });
  await test(`${name}, on a file`, async () => {
    const directory = await Deno.makeTempDir();
    {
      using kv = await Deno.openKv(`${directory}/kv.sqlite3`);
      await run(kv);
    }
    await Deno.remove(directory, { recursive: true });
  });
}

const ROUNDS = 50;

async function values(list: Deno.KvListIterator<unknown>): Promise<unknown[]> {
  return (await Array.fromAsync(list)).map((entry) => entry.value);
}

await eachPlace("a read sees the writes that were called before it", async (kv) => {
  for (let i = 0; i < ROUNDS; i++) {
    const writes: Promise<unknown>[] = [kv.set(["a", i], i)];
    equal((await kv.get(["a", i])).value, i);
    writes.push(kv.set(["a", i, "below"], "below"));
    equal(await values(kv.list({ prefix: ["a", i] })), ["below"]);
    writes.push(kv.atomic().sum(["n"], 1n).commit());
    equal((await kv.getMany([["x"], ["n"]]))[1].value, new Deno.KvU64(BigInt(i + 1)));
    writes.push(kv.delete(["a", i]));
    equal((await kv.get(["a", i])).versionstamp, null);
    writes.push(kv.set(["log", i, kv.commitVersionstamp()], i));
    equal(await values(kv.list({ prefix: ["log", i] })), [i]);
    await Promise.all(writes);
  }
});

await eachPlace("a read does not see the writes that are called after it", async (kv) => {
  for (let i = 0; i < ROUNDS; i++) {
    const calls = [
      kv.set(["k"], "first"),
      kv.get(["k"]),
      kv.set(["k"], "second"),
      kv.getMany([["k"], ["other"]]),
      kv.list({ start: ["j"], end: ["l"] }).next(),
      kv.delete(["k"]),
      kv.get(["k"]),
      kv.set(["k"], "third"),
    ] as const;
    const [, first, , many, listed, , deleted] = await Promise.all(calls);
    equal(first.value, "first");
    equal(many.map((entry) => entry.value), ["second", null]);
    equal(listed.value?.value, "second");
    equal(deleted.value, null);
  }
});

await eachPlace("a read that waits for a write checks limits, and reads its arguments once", async (kv) => {
  const writes: Promise<unknown>[] = [kv.set(["k"], 1)];
  await throws(() => kv.getMany(Array(11).fill(["k"])), "TypeError", "Too many ranges (max 10)");
  writes.push(kv.set(["k"], 2));
  const list = kv.list({ prefix: [] }, { batchSize: 1001 });
  await throws(() => list.next(), "TypeError", "Too many entries (max 1000)");
  let read = 0;
  const key = Object.defineProperty([""], 0, { get: () => (read++, "k") });
  writes.push(kv.set(["k"], 3));
  equal((await kv.get(key)).value, 3);
  equal(read, 1);
  await Promise.all(writes);
});

await eachPlace("a write sees the writes that were called before it", async (kv) => {
  for (let i = 0; i < ROUNDS; i++) {
    const { versionstamp } = await kv.get(["k"]);
    const [, lost, won] = await Promise.all([
      kv.set(["k"], i),
      kv.atomic().check({ key: ["k"], versionstamp }).set(["k"], "lost").commit(),
      kv.set(["last"], "second"),
      kv.set(["last"], i),
    ]);
    equal(lost, { ok: false });
    equal(won.ok, true);
    equal((await kv.getMany([["k"], ["last"]])).map((entry) => entry.value), [i, i]);
  }
});

await eachPlace("the first item of a watch is the state at its call", async (kv) => {
  for (let i = 0; i < ROUNDS; i++) {
    const before = kv.set(["watched"], `before ${i}`);
    const reader = kv.watch([["watched"]]).getReader();
    await before;
    equal((await reader.read()).value?.[0].value, `before ${i}`);
    await reader.cancel();
  }
});

await difference(
  "calls before a database is closed are completed",
  "Deno rejects calls that are not completed",
  async () => {
    const kv = await memory();
    const written = kv.set(["k"], 1);
    const read = kv.get(["k"]);
    kv.close();
    equal((await written).ok, true);
    equal((await read).value, 1);
  },
);
