import { equal, memory, test, throws, throwsSync } from "./harness.ts";

/** Checks the text that a value is inspected as. */
function inspects(value: unknown, expected: string): void {
  const actual = Deno.inspect(value);
  if (actual !== expected) throw new Error(`${actual}\ndiffers from\n${expected}`);
}

function tag(value: unknown): string {
  return Object.prototype.toString.call(value);
}

await test("a database is inspected as empty", async () => {
  const kv = await memory();
  inspects(kv, "Kv {}");
  inspects({ a: [kv] }, "{ a: [ Kv {} ] }");
  equal([tag(kv), String(kv), JSON.stringify(kv)], ["[object Object]", "[object Object]", "{}"]);
  equal(Reflect.ownKeys(kv), []);
  kv.close();
  inspects(kv, "Kv {}");
});

await test("a listing is inspected as empty", async () => {
  using kv = await memory();
  await kv.set(["a", 1], 1);
  const list = kv.list({ prefix: ["a"] });
  inspects(list, "KvListIterator {}");
  await list.next();
  inspects([list], "[ KvListIterator {} ]");
  equal([tag(list), String(list), JSON.stringify(list)], ["[object Object]", "[object Object]", "{}"]);
  equal(Reflect.ownKeys(list), []);
});

await test("a listing is its own iterator", async () => {
  using kv = await memory();
  const list = kv.list({ prefix: ["a"] });
  equal([typeof list[Symbol.asyncIterator], list[Symbol.asyncIterator]() === list], ["function", true]);
});

await test("an operation shows that it is empty", async () => {
  using kv = await memory();
  inspects(kv.atomic(), "AtomicOperation (empty)");
  inspects([kv.atomic()], "[ AtomicOperation (empty) ]");
  equal([tag(kv.atomic()), String(kv.atomic())], ["[object Object]", "[object Object]"]);
  equal([JSON.stringify(kv.atomic()), Reflect.ownKeys(kv.atomic())], ["{}", []]);
});

await test("an operation shows its checks, mutations and messages in order", async () => {
  using kv = await memory();
  const operation = kv.atomic()
    .check({ key: ["a"], versionstamp: null })
    .enqueue("hi")
    .set(["k"], "v", { expireIn: 5 })
    .check({ key: ["b", 1], versionstamp: "00000000000000010000" }, { key: ["c"], versionstamp: null })
    .sum(["n"], 1n)
    .delete(["z"])
    .mutate({ type: "max", key: ["n"], value: new Deno.KvU64(3n) }, { type: "delete", key: ["y"] })
    .enqueue({ a: 1 }, { delay: 5, keysIfUndelivered: [["q"]], backoffSchedule: [1, 2] })
    .min(["m"], 2n);
  inspects(
    operation,
    `AtomicOperation
  check({ key: [ "a" ], versionstamp: null })
  check({ key: [ "b", 1 ], versionstamp: "00000000000000010000" })
  check({ key: [ "c" ], versionstamp: null })
  set([ "k" ], "v", { expireIn: 5 })
  sum([ "n" ], [Deno.KvU64: 1n])
  delete([ "z" ])
  max([ "n" ], [Deno.KvU64: 3n])
  delete([ "y" ])
  min([ "m" ], [Deno.KvU64: 2n])
  enqueue("hi")
  enqueue({ a: 1 }, { delay: 5, keysIfUndelivered: [ [ "q" ] ], backoffSchedule: [ 1, 2 ] })`,
  );
});

await test("an operation shows the values it sets", async () => {
  using kv = await memory();
  const shown: [unknown, string][] = [
    ["text", '"text"'],
    ["x".repeat(200), `"${"x".repeat(200)}"`],
    [null, "null"],
    [undefined, "undefined"],
    [-0, "-0"],
    [5n, "5n"],
    [["x", "y"], '[ "x", "y" ]'],
    [new Uint8Array([1, 2]), "Uint8Array(2) [ 1, 2 ]"],
    [new Map([[1, "a"]]), 'Map(1) { 1 => "a" }'],
    [new Date(0), "1970-01-01T00:00:00.000Z"],
    [new Deno.KvU64(5n), "[Deno.KvU64: 5n]"],
    [{ u: new Deno.KvU64(5n) }, "{ u: { value: 5n } }"],
    [{ x: [1, { y: { z: {} } }] }, "{\n  x: [ 1, { y: { z: {} } } ]\n}"],
  ];
  for (const [value, text] of shown) {
    inspects(kv.atomic().set(["a"], value), `AtomicOperation\n  set([ "a" ], ${text})`);
    inspects(kv.atomic().mutate({ type: "set", key: ["a"], value }), `AtomicOperation\n  set([ "a" ], ${text})`);
    if (!(value instanceof Deno.KvU64)) inspects(kv.atomic().enqueue(value), `AtomicOperation\n  enqueue(${text})`);
  }
});

await test("an operation shows keys and options", async () => {
  using kv = await memory();
  const bytes = new Uint8Array([3]);
  inspects(
    kv.atomic()
      .set(["a", 1, 2n, true, bytes], 0)
      .set(["v", kv.commitVersionstamp() as unknown as string], 0)
      .mutate({ type: "set", key: ["a"], value: 1, expireIn: 7 })
      .set(["a"], 1, { expireIn: 0 })
      .delete([])
      .enqueue(1, { delay: 5 })
      .enqueue(1, { keysIfUndelivered: [["q", 1], ["r"]] })
      .enqueue(1, { backoffSchedule: [] }),
    `AtomicOperation
  set([ "a", 1, 2n, true, Uint8Array(1) [ 3 ] ], 0)
  set([ "v", Symbol(KvCommitVersionstamp) ], 0)
  set([ "a" ], 1, { expireIn: 7 })
  set([ "a" ], 1, { expireIn: 0 })
  delete([])
  enqueue(1, { delay: 5 })
  enqueue(1, { keysIfUndelivered: [ [ "q", 1 ], [ "r" ] ] })
  enqueue(1, { backoffSchedule: [] })`,
  );
});

await test("a nested operation is not indented", async () => {
  using kv = await memory();
  inspects({ a: kv.atomic().set(["a"], 1) }, '{\n  a: AtomicOperation\n  set([ "a" ], 1)\n}');
});

await test("an operation looks the same after it was committed", async () => {
  using kv = await memory();
  const operation = kv.atomic().set(["a"], 1);
  await operation.commit();
  inspects(operation, 'AtomicOperation\n  set([ "a" ], 1)');
});

await test("a KvU64 shows its value, at any depth", () => {
  const five = new Deno.KvU64(5n);
  inspects(five, "[Deno.KvU64: 5n]");
  inspects({ a: [five], m: new Map([[1, five]]) }, "{ a: [ [Deno.KvU64: 5n] ], m: Map(1) { 1 => [Deno.KvU64: 5n] } }");
  inspects({ a: { b: { c: { d: five } } } }, "{\n  a: { b: { c: { d: [Deno.KvU64: 5n] } } }\n}");
  inspects(new Deno.KvU64(2n ** 64n - 1n), "[Deno.KvU64: 18446744073709551615n]");
});

await test("a KvU64 is a frozen object with a value", async () => {
  const five = new Deno.KvU64(5n);
  equal([Object.isFrozen(five), Reflect.ownKeys(five), tag(five)], [true, ["value"], "[object Deno.KvU64]"]);
  equal(Object.getOwnPropertyDescriptor(five, "value"), {
    value: 5n,
    writable: false,
    enumerable: true,
    configurable: false,
  });
  equal([String(five), `${five}`, five.valueOf(), Number(five)], ["5", "5", 5n, 5]);
  const any = five as unknown as bigint;
  equal([any + 1n, any > 4n, any == 5n], [6n, true, true]);
  equal([{ ...five }, structuredClone(five)], [{ value: 5n }, { value: 5n }]);
  await throws(() => JSON.stringify(five), "TypeError", "Do not know how to serialize a BigInt");
});

await test("classes have their names, and databases are not constructed", async () => {
  // deno-lint-ignore no-explicit-any
  const { Kv, AtomicOperation, KvU64, KvListIterator, openKv } = Deno as any;
  const named = [Kv, AtomicOperation, KvU64, KvListIterator, openKv];
  equal(named.map((each) => each.name), ["Kv", "AtomicOperation", "KvU64", "KvListIterator", "openKv"]);
  throwsSync(() => new Kv(), "TypeError", "Deno.Kv can not be constructed: use Deno.openKv instead");
  using kv = await memory();
  equal([kv instanceof Kv, kv.atomic() instanceof AtomicOperation], [true, true]);
  equal([kv.list({ prefix: [] }) instanceof KvListIterator, new Deno.KvU64(1n) instanceof KvU64], [true, true]);
  const instances = [kv, kv.atomic(), kv.list({ prefix: [] })];
  equal(instances.map((each) => each.constructor), [Kv, AtomicOperation, KvListIterator]);
});

await test("prototypes have the methods", () => {
  // deno-lint-ignore no-explicit-any
  const { Kv, AtomicOperation, KvU64, KvListIterator } = Deno as any;
  // deno-lint-ignore no-explicit-any
  const missing = (type: any, names: PropertyKey[]) => names.filter((name) => !Object.hasOwn(type.prototype, name));
  const reads = ["get", "getMany", "list", "watch"];
  const writes = ["set", "delete", "atomic", "enqueue", "commitVersionstamp"];
  equal(missing(Kv, [...reads, ...writes, "listenQueue", "close", Symbol.dispose]), []);
  const mutations = ["mutate", "sum", "min", "max", "set", "delete", "enqueue"];
  equal(missing(AtomicOperation, ["check", ...mutations, "commit", "then"]), []);
  equal(missing(KvU64, ["valueOf", "toString", Symbol.toStringTag]), []);
  equal(missing(KvListIterator, ["next", "cursor", Symbol.asyncIterator]), []);
  equal([Kv, AtomicOperation, KvU64, KvListIterator].map((each) => Object.keys(each.prototype)), [[], [], [], []]);
  equal([typeof Kv.prototype[Symbol.dispose], Kv.prototype[Symbol.dispose].name], ["function", "[Symbol.dispose]"]);
});

await test("methods of an operation return the operation", async () => {
  using kv = await memory();
  const operation = kv.atomic();
  const returned = [
    operation.check({ key: ["a"], versionstamp: null }),
    operation.mutate({ type: "delete", key: ["a"] }),
    operation.set(["a"], 1),
    operation.delete(["a"]),
    operation.sum(["n"], 1n),
    operation.min(["n"], 1n),
    operation.max(["n"], 1n),
    operation.enqueue("message"),
  ];
  equal(returned.map((value) => value === operation), Array(8).fill(true));
});

await test("the placeholder of a versionstamp is always the same symbol", async () => {
  using kv = await memory();
  inspects(kv.commitVersionstamp(), "Symbol(KvCommitVersionstamp)");
  equal(kv.commitVersionstamp() === kv.commitVersionstamp(), true);
});
