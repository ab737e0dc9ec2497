import { equal, memory, rejects, test, throws, throwsAtOnce } from "./harness.ts";

/** A key of one string part whose stored form has so many bytes. */
const key = (bytes: number): Deno.KvKey => ["k".repeat(bytes - 2)];
const bytes = (length: number) => new Uint8Array(length);
// deno-lint-ignore no-explicit-any
const any = (value: unknown) => value as any;

await test("a key of 2048 bytes is written, a longer one is not", async () => {
  using kv = await memory();
  await kv.set(key(2048), 1);
  equal((await kv.get(key(2048))).value, 1);
  const message = "Key too large for write (max 2048 bytes)";
  await rejects(() => kv.set(key(2049), 1), "TypeError", message);
  await rejects(() => kv.delete(key(2049)), "TypeError", message);
  await rejects(() => kv.atomic().check({ key: key(2049), versionstamp: null }).commit(), "TypeError", message);
});

await test("a key that can be written can be read, a longer one cannot", async () => {
  using kv = await memory();
  equal((await kv.get(key(2048))).value, null);
  const message = "Key too large for read (max 2049 bytes)";
  await rejects(() => kv.get(key(2049)), "TypeError", message);
  await rejects(() => kv.getMany([key(2049)]), "TypeError", message);
  equal(await Array.fromAsync(kv.list({ prefix: key(2048) })), []);
  await throws(() => kv.list({ prefix: key(2049) }).next(), "TypeError", message);
  await kv.watch([key(2049)]).cancel();
  throwsAtOnce(() => kv.watch([key(2050)]), "TypeError", message);
});

await test("a value of 65536 bytes is written, a longer one is not", async () => {
  using kv = await memory();
  await kv.set(["a"], bytes(65536));
  await rejects(() => kv.set(["a"], bytes(65537)), "TypeError", "Value too large (max 65536 bytes)");
  await rejects(() => kv.set(["b"], "a".repeat(65536)), "TypeError", "Value too large (max 65536 bytes)");
  equal((await kv.get(["b"])).versionstamp, null);
  await rejects(() => kv.enqueue(bytes(65537)), "TypeError", "enqueue payload too large (max 65536 bytes)");
});

await test("ten keys are read at once, eleven are not", async () => {
  using kv = await memory();
  equal((await kv.getMany(Array(10).fill(["a"]))).length, 10);
  await rejects(() => kv.getMany(Array(11).fill(["a"])), "TypeError", "Too many ranges (max 10)");
});

await test("a batch has up to 1000 entries", async () => {
  using kv = await memory();
  equal(await Array.fromAsync(kv.list({ prefix: [] }, { batchSize: 1000 })), []);
  await rejects(() => kv.list({ prefix: [] }, { batchSize: 1001 }).next(), "TypeError", "Too many entries (max 1000)");
});

await test("a commit has up to 100 checks", async () => {
  using kv = await memory();
  const checks = (count: number) => Array(count).fill({ key: ["a"], versionstamp: null });
  equal((await kv.atomic().check(...checks(100)).commit()).ok, true);
  await rejects(() => kv.atomic().check(...checks(101)).commit(), "TypeError", "Too many checks (max 100)");
});

await test("a commit has up to 1000 mutations and messages", async () => {
  using kv = await memory();
  const operation = (mutations: number, messages: number) => {
    const operation = kv.atomic();
    for (let i = 0; i < mutations; i++) operation.delete(["a"]);
    for (let i = 0; i < messages; i++) operation.enqueue(0, { delay: 10000 });
    return operation;
  };
  equal((await operation(1000, 0).commit()).ok, true);
  equal((await operation(900, 100).commit()).ok, true);
  await rejects(() => operation(1001, 0).commit(), "TypeError", "Too many mutations (max 1000)");
  await rejects(() => operation(900, 101).commit(), "TypeError", "Too many mutations (max 1000)");
});

await test("a commit has up to 819200 bytes", async () => {
  using kv = await memory();
  // Each mutation counts its key of 10 bytes twice.
  const operation = (last: number) => {
    const operation = kv.atomic();
    for (let i = 0; i < 12; i++) operation.set(key(10), bytes(65536));
    return operation.set(key(10), bytes(last));
  };
  const rest = 819200 - 12 * (65536 + 20) - 20;
  equal((await operation(rest).commit()).ok, true);
  const message = "Total mutation size too large (max 819200 bytes)";
  await rejects(() => operation(rest + 1).commit(), "TypeError", message);
});

await test("the keys of a commit have up to 81920 bytes", async () => {
  using kv = await memory();
  const operation = (last: number) => {
    const operation = kv.atomic();
    for (let i = 0; i < 39; i++) operation.set(key(2048), 0);
    return operation.set(key(last), 0);
  };
  equal((await operation(2048).commit()).ok, true);
  await rejects(() => operation(2048).set(key(3), 0).commit(), "TypeError", "Total key size too large (max 81920 bytes)");
});

await test("a key to write has a part", async () => {
  using kv = await memory();
  await rejects(() => kv.set([], 1), "TypeError", "key cannot be empty");
  await rejects(() => kv.delete([]), "TypeError", "key cannot be empty");
  await rejects(() => kv.atomic().sum([], 1n).commit(), "TypeError", "key cannot be empty");
  await rejects(() => kv.atomic().check({ key: [], versionstamp: null }).commit(), "TypeError", "key cannot be empty");
  equal(await kv.get([]), { key: [], value: null, versionstamp: null });
});

await test("limits and batch sizes are positive integers", async () => {
  using kv = await memory();
  for (const bad of [0, -1, 1.5, NaN]) {
    const message = `ust be a positive integer: received ${bad}`;
    throwsAtOnce(() => kv.list({ prefix: [] }, { limit: bad }), "Error", `Limit m${message}`);
    throwsAtOnce(() => kv.list({ prefix: [] }, { batchSize: bad }), "Error", `batchSize m${message}`);
  }
});

await test("a delay has up to 30 days", async () => {
  using kv = await memory();
  const days = 30 * 24 * 3600 * 1000;
  equal((await kv.enqueue(1, { delay: days })).ok, true);
  await rejects(() => kv.enqueue(1, { delay: -1 }), "TypeError", "Delay must be >= 0: received -1");
  const message = `Delay cannot be greater than 30 days: received ${days + 1}`;
  await rejects(() => kv.enqueue(1, { delay: days + 1 }), "TypeError", message);
  throwsAtOnce(() => kv.atomic().enqueue(1, { delay: days + 1 }), "TypeError", message);
  await rejects(() => kv.enqueue(1, { delay: NaN }), "TypeError", "Delay cannot be NaN");
});

await test("a backoff schedule has up to five waits of up to an hour", async () => {
  using kv = await memory();
  equal((await kv.enqueue(1, { delay: 10000, backoffSchedule: Array(5).fill(3600000) })).ok, true);
  const many = "Invalid backoffSchedule, max 5 intervals allowed";
  await rejects(() => kv.enqueue(1, { backoffSchedule: Array(6).fill(1) }), "TypeError", many);
  for (const bad of [-1, 3600001, NaN]) {
    const message = "Invalid backoffSchedule, interval at index 1 is invalid";
    await rejects(() => kv.enqueue(1, { backoffSchedule: [1, bad] }), "TypeError", message);
    throwsAtOnce(() => kv.atomic().enqueue(1, { backoffSchedule: [1, bad] }), "TypeError", message);
  }
});

await test("expireIn is a non-negative integer that a date can hold", async () => {
  using kv = await memory();
  for (const bad of [-1, 1.5, NaN, Infinity, "1"]) {
    const message = `expireIn must be a non-negative integer: received ${bad}`;
    await rejects(() => kv.set(["a"], 1, { expireIn: any(bad) }), "TypeError", message);
    throwsAtOnce(() => kv.atomic().set(["a"], 1, { expireIn: any(bad) }), "TypeError", message);
  }
  equal((await kv.set(["a"], 1, { expireIn: 8e15 })).ok, true);
  const large = "Invalid mutation: expireIn is too large: 10000000000000000";
  await rejects(() => kv.set(["a"], 1, { expireIn: 1e16 }), "TypeError", large);
  const larger = "Invalid mutation: expireIn is too large: 18446744073709551615";
  await rejects(() => kv.set(["a"], 1, { expireIn: 1e300 }), "TypeError", larger);
});
