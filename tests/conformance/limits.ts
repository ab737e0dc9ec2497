// deno-lint-ignore-file no-explicit-any
import { difference, equal, memory, rejects, test, throws, throwsSync } from "./harness.ts";

/** Returns a key whose encoding has a number of bytes. */
const key = (size: number) => ["a".repeat(size - 2)];
const bytes = (size: number) => new Uint8Array(size);
const times = <T>(count: number, make: (i: number) => T) => Array.from({ length: count }, (_, i) => make(i));

const KEY_FOR_WRITE = "Key too large for write (max 2048 bytes)";
const KEY_FOR_READ = "Key too large for read (max 2049 bytes)";

/** The calls that write a key. */
const writes: Record<string, (kv: Deno.Kv, key: Deno.KvKey) => Promise<unknown>> = {
  set: (kv, key) => kv.set(key, 1),
  delete: (kv, key) => kv.delete(key),
  check: (kv, key) => kv.atomic().check({ key, versionstamp: null }).commit(),
  "set of an operation": (kv, key) => kv.atomic().set(["a"], 1).set(key, 1).commit(),
  "delete of an operation": (kv, key) => kv.atomic().set(["a"], 1).delete(key).commit(),
  sum: (kv, key) => kv.atomic().set(["a"], 1).sum(key, 1n).commit(),
  min: (kv, key) => kv.atomic().set(["a"], 1).min(key, 1n).commit(),
  max: (kv, key) => kv.atomic().set(["a"], 1).max(key, 1n).commit(),
};
for (const [name, write] of Object.entries(writes)) {
  await test(`${name} accepts keys of 2048 bytes`, async () => {
    for (const large of [key(2048), [bytes(1023)], times(2048, () => true)]) {
      using kv = await memory();
      await write(kv, large);
    }
    for (const large of [key(2049), [bytes(1024)], times(2049, () => true), ["\0".repeat(1024)], key(100_000)]) {
      using kv = await memory();
      await rejects(() => write(kv, large), "TypeError", KEY_FOR_WRITE);
      equal(await Array.fromAsync(kv.list({ prefix: [] })), []);
    }
  });
  await test(`${name} rejects an empty key`, async () => {
    using kv = await memory();
    await rejects(() => write(kv, []), "TypeError", "key cannot be empty");
    equal(await Array.fromAsync(kv.list({ prefix: [] })), []);
  });
}

await test("a key of 2048 bytes is read and listed", async () => {
  using kv = await memory();
  await kv.set(key(2048), 1);
  equal((await kv.get(key(2048))).value, 1);
  equal((await Array.fromAsync(kv.list({ prefix: [] }))).map((entry) => entry.key), [key(2048)]);
});

await test("get accepts keys of 2048 bytes", async () => {
  using kv = await memory();
  equal((await kv.get(key(2048))).value, null);
  equal((await kv.getMany([["a"], key(2048)])).length, 2);
  // A key is read as the range that ends with the key and a zero byte.
  await rejects(() => kv.get(key(2049)), "TypeError", KEY_FOR_READ);
  await rejects(() => kv.getMany([["a"], key(2049)]), "TypeError", KEY_FOR_READ);
});

await test("list accepts prefixes of 2048 bytes, and keys of 2049 bytes", async () => {
  using kv = await memory();
  equal(await Array.fromAsync(kv.list({ prefix: key(2048) })), []);
  equal(await Array.fromAsync(kv.list({ start: key(2049), end: ["b"] })), []);
  equal(await Array.fromAsync(kv.list({ start: ["A"], end: key(2049) })), []);
  await rejects(() => kv.list({ prefix: key(2049) }).next(), "TypeError", KEY_FOR_READ);
  await rejects(() => kv.list({ start: key(2050), end: ["b"] }).next(), "TypeError", KEY_FOR_READ);
  await rejects(() => kv.list({ start: ["A"], end: key(2050) }).next(), "TypeError", KEY_FOR_READ);
});

await test("watch accepts keys of 2049 bytes", async () => {
  using kv = await memory();
  await kv.watch([key(2049)]).cancel();
  throwsSync(() => kv.watch([["a"], key(2050)]), "TypeError", KEY_FOR_READ);
});

await test("the versionstamp of the commit does not count towards the size of a key", async () => {
  using kv = await memory();
  const suffix = kv.commitVersionstamp() as unknown as string;
  const { versionstamp } = await kv.set([...key(2048), suffix], 1);
  equal((await Array.fromAsync(kv.list({ prefix: [] }))).map((entry) => entry.key), [[...key(2048), versionstamp]]);
  await rejects(() => kv.set([...key(2049), suffix], 1), "TypeError", KEY_FOR_WRITE);
});

await test("a value has 65536 bytes at most", async () => {
  using kv = await memory();
  // Bytes are stored raw, a Latin-1 string has a header of 6 bytes.
  const edges = [(more: number) => bytes(65536 + more), (more: number) => "a".repeat(65530 + more)];
  for (const edge of edges) {
    await kv.set(["a"], edge(0));
    equal((await kv.get(["a"])).value, edge(0));
    await kv.atomic().set(["a"], edge(-1)).commit();
    const message = "Value too large (max 65536 bytes)";
    await rejects(() => kv.set(["a"], edge(1)), "TypeError", message);
    await rejects(() => kv.atomic().set(["b"], 1).set(["a"], edge(1)).commit(), "TypeError", message);
    const mutation = { type: "set", key: ["a"], value: edge(1) } as const;
    await rejects(() => kv.atomic().mutate(mutation).commit(), "TypeError", message);
    equal((await kv.getMany([["a"], ["b"]])).map((entry) => entry.value), [edge(-1), null]);
  }
});

await test("a message has 65536 bytes at most", async () => {
  using kv = await memory();
  // Always serialized: bytes have an overhead of 13 bytes.
  const edges = [(more: number) => bytes(65523 + more), (more: number) => "a".repeat(65530 + more)];
  for (const edge of edges) {
    await kv.enqueue(edge(0));
    await kv.atomic().enqueue(edge(0)).commit();
    const message = "enqueue payload too large (max 65536 bytes)";
    await rejects(() => kv.enqueue(edge(1)), "TypeError", message);
    await rejects(() => kv.atomic().set(["b"], 1).enqueue(edge(1)).commit(), "TypeError", message);
    equal((await kv.get(["b"])).value, null);
  }
});

await test("getMany accepts 10 keys", async () => {
  using kv = await memory();
  equal((await kv.getMany(times(10, (i) => [i]))).length, 10);
  await rejects(() => kv.getMany(times(11, (i) => [i])), "TypeError", "Too many ranges (max 10)");
});

await test("watch accepts 10 keys", async () => {
  using kv = await memory();
  await kv.watch(times(10, (i) => [i])).cancel();
  throwsSync(() => kv.watch(times(11, (i) => [i])), "TypeError", "Too many keys (max 10)");
});

await test("a batch has 1000 entries at most", async () => {
  using kv = await memory();
  equal(await Array.fromAsync(kv.list({ prefix: [] }, { batchSize: 1000 })), []);
  for (const batchSize of [1001, 2 ** 32, 2 ** 53]) {
    await rejects(() => kv.list({ prefix: [] }, { batchSize }).next(), "TypeError", "Too many entries (max 1000)");
  }
});

await test("a limit may exceed the maximum batch size", async () => {
  using kv = await memory();
  for (const limit of [1001, 2 ** 32, 2 ** 53]) equal(await Array.fromAsync(kv.list({ prefix: [] }, { limit })), []);
});

await test("limits and batch sizes are positive integers", async () => {
  using kv = await memory();
  for (const wrong of [0, -1, 1.5, NaN, Infinity, -Infinity, "1", "a", true, 1n] as any[]) {
    const message = `must be a positive integer: received ${wrong}`;
    throwsSync(() => kv.list({ prefix: [] }, { limit: wrong }), "Error", `Limit ${message}`);
    throwsSync(() => kv.list({ prefix: [] }, { batchSize: wrong }), "Error", `batchSize ${message}`);
  }
  const none = null as unknown as number;
  const message = "Limit must be a positive integer: received null";
  throwsSync(() => kv.list({ prefix: [] }, { limit: none }), "Error", message);
  equal(await Array.fromAsync(kv.list({ prefix: [] }, { batchSize: none, limit: undefined })), []);
});

await test("an operation has 100 checks at most", async () => {
  using kv = await memory();
  const checks = times(101, (i) => ({ key: ["c", i], versionstamp: null }));
  equal((await kv.atomic().check(...checks.slice(1)).set(["a"], 1).commit()).ok, true);
  await rejects(() => kv.atomic().check(...checks).set(["b"], 1).commit(), "TypeError", "Too many checks (max 100)");
  equal((await kv.getMany([["a"], ["b"]])).map((entry) => entry.value), [1, null]);
});

await test("an operation has 1000 mutations and messages at most", async () => {
  for (const messages of [0, 1, 500]) {
    using kv = await memory();
    const operation = kv.atomic();
    for (let i = 0; i < 1000 - messages; i++) operation.set([i], i);
    for (let i = 0; i < messages; i++) operation.enqueue(i);
    equal((await operation.commit()).ok, true);
    equal((await Array.fromAsync(kv.list({ prefix: [] }))).length, 1000 - messages);
    const message = "Too many mutations (max 1000)";
    for (const one of [kv.atomic().enqueue(1), kv.atomic().set(["a"], 1), kv.atomic().delete(["a"])]) {
      for (let i = 0; i < 1000 - messages; i++) one.delete([i]);
      for (let i = 0; i < messages; i++) one.enqueue(i);
      await rejects(() => one.commit(), "TypeError", message);
    }
    equal((await Array.fromAsync(kv.list({ prefix: [] }))).length, 1000 - messages);
  }
});

/** Returns an operation with 786432 bytes of values, 13 keys of 3 bytes, which count twice, and a value of another size. */
function sized(kv: Deno.Kv, last: number): Deno.AtomicOperation {
  const operation = kv.atomic().set(["z"], bytes(last));
  for (let i = 0; i < 12; i++) operation.set(["k"], bytes(65536));
  return operation;
}

const capacities: [string, number, (operation: Deno.AtomicOperation) => Deno.AtomicOperation][] = [
  ["sets", 32690, (operation) => operation],
  ["a delete", 32590, (operation) => operation.delete(key(100))],
  ["a check", 32590, (operation) => operation.check({ key: key(100), versionstamp: null })],
  ["a sum", 32676, (operation) => operation.sum(["s"], 1n)],
  ["a message", 31679, (operation) => operation.enqueue(bytes(1000))],
];
for (const [name, capacity, add] of capacities) {
  await test(`an operation of ${name} has 819200 bytes at most`, async () => {
    using kv = await memory();
    const message = "Total mutation size too large (max 819200 bytes)";
    await rejects(() => add(sized(kv, capacity + 1)).commit(), "TypeError", message);
    equal(await Array.fromAsync(kv.list({ prefix: [] })), []);
    equal((await add(sized(kv, capacity)).commit()).ok, true);
    equal(((await kv.get(["z"])).value as Uint8Array).length, capacity);
  });
}

await test("deleted keys count towards the size of an operation only", async () => {
  using kv = await memory();
  const operation = kv.atomic();
  for (let i = 0; i < 400; i++) operation.delete(key(2048));
  equal((await operation.commit()).ok, true);
  operation.delete(["a"]);
  await rejects(() => operation.commit(), "TypeError", "Total mutation size too large (max 819200 bytes)");
});

await test("the keys set by an operation have 81920 bytes at most", async () => {
  using kv = await memory();
  const keyed = (last: number) => {
    const operation = kv.atomic().set(["a"], 1).set(key(last), 1);
    for (let i = 0; i < 39; i++) operation.set(key(2048), i);
    return operation;
  };
  const message = "Total key size too large (max 81920 bytes)";
  await rejects(() => keyed(2046).commit(), "TypeError", message);
  equal(await Array.fromAsync(kv.list({ prefix: [] })), []);
  const checked = keyed(2045).delete(key(2000)).check({ key: key(2001), versionstamp: null });
  equal((await checked.commit()).ok, true);
  equal((await Array.fromAsync(kv.list({ prefix: [] }))).length, 3);
  const sums = kv.atomic();
  for (let i = 0; i < 41; i++) sums.sum([...key(2000), i], 1n);
  await rejects(() => sums.commit(), "TypeError", message);
});

/** Enqueues a message in both ways. For invalid options, one rejects, and the other throws synchronously. */
async function enqueues(options: any): Promise<void> {
  using kv = await memory();
  equal((await kv.enqueue(1, options)).ok, true);
  equal((await kv.atomic().enqueue(1, options).commit()).ok, true);
}
async function enqueueRejects(options: any, message: string): Promise<void> {
  using kv = await memory();
  await rejects(() => kv.enqueue(1, options), "TypeError", message);
  throwsSync(() => kv.atomic().enqueue(1, options), "TypeError", message);
}

await test("the maximum delay of a message is 30 days", async () => {
  const month = 30 * 24 * 60 * 60 * 1000;
  for (const delay of [0, -0, 1, 1.5, 2 ** 31, month, null, undefined]) await enqueues({ delay });
  for (const delay of [month + 1, month + 0.5, 2 ** 53, Infinity]) {
    await enqueueRejects({ delay }, `Delay cannot be greater than 30 days: received ${delay}`);
  }
  for (const delay of [-1, -0.5, -Infinity]) await enqueueRejects({ delay }, `Delay must be >= 0: received ${delay}`);
  await enqueueRejects({ delay: NaN }, "Delay cannot be NaN");
});

await test("a schedule has 5 intervals of an hour at most", async () => {
  const schedules = [[], [0], [1, 2, 3, 4, 5], Array(5).fill(3600000), [1.5], undefined];
  for (const backoffSchedule of schedules) await enqueues({ backoffSchedule });
  for (const backoffSchedule of [Array(6).fill(1), Array(100).fill(-1)]) {
    await enqueueRejects({ backoffSchedule }, "Invalid backoffSchedule, max 5 intervals allowed");
  }
  for (const wrong of [-1, -0.5, 3600001, 3600000.5, NaN, Infinity, -Infinity]) {
    for (const backoffSchedule of [[wrong], [1, wrong], [1, 1, 1, 1, wrong], [0, wrong, wrong]]) {
      const index = backoffSchedule.findIndex((interval) => Object.is(interval, wrong));
      const message = `Invalid backoffSchedule, interval at index ${index} is invalid`;
      await enqueueRejects({ backoffSchedule }, message);
    }
  }
});

await test("an expiry is a non-negative integer", async () => {
  using kv = await memory();
  for (const expireIn of [-1, 1.5, NaN, Infinity, -Infinity, "1", null, true, 1n] as any[]) {
    const message = `expireIn must be a non-negative integer: received ${expireIn}`;
    await rejects(() => kv.set(["a"], 1, { expireIn }), "TypeError", message);
    throwsSync(() => kv.atomic().set(["a"], 1, { expireIn }), "TypeError", message);
    if (typeof expireIn !== "number") continue;
    const mutation = { type: "set", key: ["a"], value: 1, expireIn } as const;
    throwsSync(() => kv.atomic().mutate(mutation), "TypeError", message);
  }
  equal(await Array.fromAsync(kv.list({ prefix: [] })), []);
});

await test("an expiry has a maximum", async () => {
  using kv = await memory();
  const largest = 8_200_000_000_000_000;
  for (const expireIn of [60000, 2 ** 31, 2 ** 32, largest, undefined]) {
    await kv.set(["a"], 1, { expireIn });
    equal((await kv.get(["a"])).value, 1);
    await kv.atomic().set(["a"], 2, { expireIn }).commit();
    await kv.atomic().mutate({ type: "set", key: ["a"], value: 2, expireIn }).commit();
    equal((await kv.get(["a"])).value, 2);
    await kv.delete(["a"]);
  }
  for (const [expireIn, text] of [[8_220_000_000_000_000], [2 ** 53], [1e300, "18446744073709551615"]] as const) {
    const message = `Invalid mutation: expireIn is too large: ${text ?? expireIn}`;
    await rejects(() => kv.set(["a"], 1, { expireIn }), "TypeError", message);
    await rejects(() => kv.atomic().set(["b"], 1).set(["a"], 1, { expireIn }).commit(), "TypeError", message);
    const mutation = { type: "set", key: ["a"], value: 1, expireIn } as const;
    await throws(() => kv.atomic().mutate(mutation).commit(), "TypeError", message);
  }
  equal(await Array.fromAsync(kv.list({ prefix: [] })), []);
});

/** Runs a test of limits of keysIfUndelivered. */
function undelivered(name: string, body: () => unknown): Promise<void> {
  return difference(name, "Deno has no limits for keysIfUndelivered", body);
}

/** Enqueues a message with keysIfUndelivered in both ways. */
async function enqueueWith(keysIfUndelivered: Deno.KvKey[], message?: string): Promise<void> {
  using kv = await memory();
  const ways = [
    () => kv.enqueue(1, { keysIfUndelivered }),
    () => kv.atomic().set(["a"], 1).enqueue(1, { keysIfUndelivered }).commit(),
  ];
  for (const way of ways) {
    if (message === undefined) equal((await way() as any).ok, true);
    else await rejects(way, "TypeError", message);
  }
  if (message !== undefined) equal(await Array.fromAsync(kv.list({ prefix: [] })), []);
}

await test("the keys of an undelivered message have the limits of writes", async () => {
  await enqueueWith([key(2048), [bytes(1023)], [0]]);
  await enqueueWith(times(998, (i) => [i]));
  await enqueueWith(times(39, () => key(2048)));
});

await undelivered("the keys of an undelivered message have 2048 bytes, and are not empty", async () => {
  await enqueueWith([key(2049)], KEY_FOR_WRITE);
  await enqueueWith([["a"], ["\0".repeat(1024)]], KEY_FOR_WRITE);
  await enqueueWith([[]], "key cannot be empty");
  await enqueueWith([["a"], []], "key cannot be empty");
});

await undelivered("the keys of undelivered messages count as mutations", async () => {
  await enqueueWith(times(1000, (i) => [i]), "Too many mutations (max 1000)");
  await enqueueWith(times(100_000, (i) => [i]), "Too many mutations (max 1000)");
  using kv = await memory();
  const operation = (last: number) => {
    const operation = kv.atomic().set(["a"], 1);
    for (let i = 0; i < 9; i++) operation.enqueue(i, { keysIfUndelivered: times(i < 8 ? 100 : last, (i) => [i]) });
    return operation;
  };
  await rejects(() => operation(191).commit(), "TypeError", "Too many mutations (max 1000)");
  equal((await operation(190).commit()).ok, true);
});

await undelivered("the keys of undelivered messages have 81920 bytes at most", async () => {
  const message = "Total key size too large (max 81920 bytes)";
  await enqueueWith(times(41, () => key(2000)), message);
  using kv = await memory();
  const operation = (last: number) => kv.atomic().set(key(1920), 1)
    .enqueue(1, { keysIfUndelivered: times(19, () => key(2000)) })
    .enqueue(2, { keysIfUndelivered: [...times(20, () => key(2000)), key(last)] });
  await rejects(() => operation(2001).commit(), "TypeError", message);
  equal((await operation(2000).commit()).ok, true);
});

await undelivered("the keys of undelivered messages count towards the size of an operation", async () => {
  using kv = await memory();
  const keysIfUndelivered = [key(500), key(500)];
  const add = (operation: Deno.AtomicOperation) => operation.enqueue(bytes(1000), { keysIfUndelivered });
  const message = "Total mutation size too large (max 819200 bytes)";
  await rejects(() => add(sized(kv, 30680)).commit(), "TypeError", message);
  equal((await add(sized(kv, 30679)).commit()).ok, true);
});
