import { difference, equal, memory, test, throws } from "./harness.ts";

await test("a missing entry has no value and no versionstamp", async () => {
  using kv = await memory();
  equal(await kv.get(["a", 1]), { key: ["a", 1], value: null, versionstamp: null });
});

await test("an entry has the value that was set, and the versionstamp of the commit", async () => {
  using kv = await memory();
  const { ok, versionstamp } = await kv.set(["a", 1], { b: [2] });
  equal(ok, true);
  equal(await kv.get(["a", 1]), { key: ["a", 1], value: { b: [2] }, versionstamp });
  const later = await kv.set(["a", 1], 3);
  equal([/^[0-9a-f]{20}$/.test(versionstamp), later.versionstamp > versionstamp], [true, true]);
});

await test("null is a value", async () => {
  using kv = await memory();
  const { versionstamp } = await kv.set(["a"], null);
  equal(await kv.get(["a"]), { key: ["a"], value: null, versionstamp });
});

await test("delete removes an entry, and ignores a missing one", async () => {
  using kv = await memory();
  await kv.set(["a"], 1);
  equal(await kv.delete(["a"]), undefined);
  equal(await kv.delete(["a"]), undefined);
  equal((await kv.get(["a"])).versionstamp, null);
});

await test("getMany returns entries in the order of the keys", async () => {
  using kv = await memory();
  await kv.set(["a"], 1);
  await kv.set(["c"], 3);
  const entries = await kv.getMany([["c"], ["b"], ["a"], ["c"]]);
  equal(entries.map(({ key, value }) => [key, value]), [[["c"], 3], [["b"], null], [["a"], 1], [["c"], 3]]);
  equal(await kv.getMany([]), []);
});

await test("key parts of different types are distinct", async () => {
  using kv = await memory();
  const keys: Deno.KvKey[] = [[new Uint8Array([1])], ["1"], [1n], [1], [true], [false], ["1", 1]];
  for (const [i, key] of keys.entries()) await kv.set(key, i);
  for (const [i, key] of keys.entries()) equal((await kv.get(key)).value, i);
});

await test("databases in memory do not share entries", async () => {
  using a = await memory();
  using b = await memory();
  await a.set(["a"], 1);
  equal((await b.get(["a"])).value, null);
});

await test("a loop of reads lets timers run", async () => {
  using kv = await memory();
  let ticks = 0;
  const interval = setInterval(() => ticks++, 1);
  while (ticks < 5) await kv.get(["a"]);
  clearInterval(interval);
});

await test("a loop of writes in memory lets timers run", async () => {
  using kv = await memory();
  let ticks = 0;
  const interval = setInterval(() => ticks++, 1);
  while (ticks < 5) await kv.set(["a"], ticks);
  clearInterval(interval);
});

await difference("a list of large values lets timers run within a batch", "Deno does not run them within a batch", async () => {
  using kv = await memory();
  const value = new Uint8Array(65_000);
  for (let i = 0; i < 1000; i++) await kv.set(["a", i], value);
  let ticks = 0;
  let ticksAtFirst: number | undefined;
  const interval = setInterval(() => ticks++, 0);
  let next = 0;
  for await (const entry of kv.list({ prefix: ["a"] }, { batchSize: 1000 })) {
    ticksAtFirst ??= ticks;
    equal([entry.key, (entry.value as Uint8Array).length], [["a", next++], 65_000]);
  }
  clearInterval(interval);
  equal([next, ticks - ticksAtFirst! > 1], [1000, true]);
});

await difference("reads do not wait for the writes that are in flight", "Deno queues reads after them", async () => {
  const file = await Deno.makeTempFile();
  using kv = await Deno.openKv(file);
  let hasOvertaken = false;
  // On a busy machine, all writes may be committed before the event loop sees the result of the read.
  for (let attempt = 0; attempt < 10 && !hasOvertaken; attempt++) {
    let written = 0;
    const writes = Array.from({ length: 2000 }, (_, i) => kv.set(["a", i], i).then(() => written++));
    await kv.get(["b"]);
    hasOvertaken = written < writes.length;
    await Promise.all(writes);
  }
  equal(hasOvertaken, true);
  kv.close();
  await Deno.remove(file);
});

await test("reads and writes of a closed database reject", async () => {
  const kv = await memory();
  kv.close();
  await throws(() => kv.get(["a"]), "BadResource", "Bad resource ID");
  await throws(() => kv.getMany([["a"]]), "BadResource", "Bad resource ID");
  await throws(() => kv.set(["a"], 1), "BadResource", "Bad resource ID");
  await throws(() => kv.delete(["a"]), "BadResource", "Bad resource ID");
  await throws(() => kv.list({ prefix: [] }).next(), "BadResource", "Bad resource ID");
  await throws(() => kv.atomic().commit(), "BadResource", "Bad resource ID");
  await throws(() => kv.close(), "BadResource", "Bad resource ID");
  kv[Symbol.dispose]();
});

await test("writes that are not awaited are committed in order", async () => {
  using kv = await memory();
  const results = await Promise.all(Array.from({ length: 500 }, (_, i) => kv.set(["a"], i)));
  equal((await kv.get(["a"])).value, 499);
  const versionstamps = results.map((result) => result.versionstamp);
  equal(versionstamps, versionstamps.toSorted());
});
