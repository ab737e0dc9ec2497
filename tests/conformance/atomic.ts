import { difference, equal, memory, test, throws } from "./harness.ts";

const REJECTED = "Deno writes the mutations before the one that failed";

await test("all mutations of a commit have one versionstamp", async () => {
  using kv = await memory();
  await kv.set(["c"], 0);
  const result = await kv.atomic().set(["a"], 1).set(["b"], 2).delete(["c"]).commit();
  equal(result.ok, true);
  const entries = await kv.getMany([["a"], ["b"], ["c"]]);
  const versionstamp = (result as Deno.KvCommitResult).versionstamp;
  equal(entries.map((entry) => [entry.value, entry.versionstamp]), [[1, versionstamp], [2, versionstamp], [null, null]]);
});

await test("a commit whose check fails writes nothing", async () => {
  using kv = await memory();
  const before = await kv.get(["a"]);
  equal((await kv.atomic().check(before).set(["a"], 1).commit()).ok, true);
  equal(await kv.atomic().check(before).set(["a"], 2).set(["b"], 2).commit(), { ok: false });
  equal((await kv.getMany([["a"], ["b"]])).map((entry) => entry.value), [1, null]);
  equal(await kv.atomic().check(await kv.get(["a"]), { key: ["b"], versionstamp: null }).set(["b"], 3).commit().then((r) => r.ok), true);
});

await test("sum, min and max combine the operand with the stored number", async () => {
  using kv = await memory();
  await kv.atomic().sum(["s"], 5n).min(["min"], 5n).max(["max"], 5n).commit();
  await kv.atomic().sum(["s"], 2n ** 64n - 1n).min(["min"], 3n).max(["max"], 3n).commit();
  await kv.atomic().mutate({ type: "sum", key: ["s"], value: new Deno.KvU64(10n) }).commit();
  const entries = await kv.getMany<Deno.KvU64[]>([["s"], ["min"], ["max"]]);
  equal(entries.map((entry) => entry.value!.value), [14n, 3n, 5n]);
});

await difference("a commit that rejects writes nothing", REJECTED, async () => {
  using kv = await memory();
  await kv.set(["a"], "text");
  await throws(
    () => kv.atomic().set(["b"], 1).sum(["a"], 1n).commit(),
    "TypeError",
    "Failed to perform 'sum' mutation on a non-U64 value in the database",
  );
  equal((await kv.getMany([["a"], ["b"]])).map((entry) => entry.value), ["text", null]);
});

await difference("a commit that rejects does not affect concurrent ones", REJECTED, async () => {
  using kv = await memory();
  await kv.set(["a"], "text");
  const results = await Promise.allSettled([
    kv.set(["x"], 1),
    kv.atomic().set(["y"], 1).max(["a"], 1n).commit(),
    kv.set(["z"], 1),
  ]);
  equal(results.map((result) => result.status), ["fulfilled", "rejected", "fulfilled"]);
  equal((await kv.getMany([["x"], ["y"], ["z"]])).map((entry) => entry.value), [1, null, 1]);
});

await test("mutate accepts all types, and applies them in order", async () => {
  using kv = await memory();
  await kv.atomic()
    .mutate({ type: "set", key: ["a"], value: 1 }, { type: "delete", key: ["a"] }, { type: "set", key: ["b"], value: 2 })
    .mutate({ type: "max", key: ["n"], value: new Deno.KvU64(7n) }, { type: "min", key: ["n"], value: new Deno.KvU64(6n) })
    .commit();
  equal((await kv.getMany([["a"], ["b"], ["n"]])).map((entry) => entry.value), [null, 2, new Deno.KvU64(6n)]);
});

await test("an operation may be committed again", async () => {
  using kv = await memory();
  const operation = kv.atomic().sum(["n"], 1n);
  await operation.commit();
  await operation.commit();
  equal((await kv.get(["n"])).value, new Deno.KvU64(2n));
});

await test("the versionstamp of the commit may be the last part of a key", async () => {
  using kv = await memory();
  const { versionstamp } = await kv.set(["log", kv.commitVersionstamp() as unknown as string], "first");
  equal(await kv.get(["log", versionstamp]), { key: ["log", versionstamp], value: "first", versionstamp });
});

await test("an operation is not a promise", async () => {
  using kv = await memory();
  await throws(
    () => kv.atomic().set(["a"], 1),
    "TypeError",
    "'Deno.AtomicOperation' is not a promise: did you forget to call 'commit()'",
  );
});

await test("a KvU64 holds 64 bits", async () => {
  equal(new Deno.KvU64(5n).value, 5n);
  equal([String(new Deno.KvU64(5n)), Number(new Deno.KvU64(5n)), Object.isFrozen(new Deno.KvU64(5n))], ["5", 5, true]);
  equal(Deno.inspect([new Deno.KvU64(5n)]), "[ [Deno.KvU64: 5n] ]");
  await throws(() => new Deno.KvU64(5 as unknown as bigint), "TypeError", "Value must be a bigint: received number");
  await throws(() => new Deno.KvU64(-1n), "RangeError", "Value must be a positive bigint: received -1");
  await throws(() => new Deno.KvU64(2n ** 64n), "RangeError", "Value must fit in a 64-bit unsigned integer");
});
