// deno-lint-ignore-file no-explicit-any
import { equal, memory, plain, rejects, test, throws, throwsSync } from "./harness.ts";

const bytes = (...numbers: number[]) => new Uint8Array(numbers);
const MAX = 2n ** (8n * 255n) - 1n;

/** Key parts by type. The types, and the parts of each, are in ascending order. */
const parts: Record<string, Deno.KvKeyPart[]> = {
  bytes: [
    bytes(), bytes(0), bytes(0, 0), bytes(0, 1), bytes(0, 255), bytes(1), bytes(1, 0), bytes(1, 255), bytes(254),
    bytes(255), bytes(255, 0), bytes(255, 255),
  ],
  strings: [
    "", "\0", "\0\0", "\0a", "\0\u00ff", "10", "2", "A", "a", "a\0", "a\0b", "aa", "b", "\x7f", "\x80", "\u00ff",
    "\ud7ff", "\ufffd", "\uffff", "\u{10000}", "\u{1f600}", "\u{10ffff}",
  ],
  bigints: [
    -MAX, -(2n ** 72n), -(2n ** 64n) - 1n, -(2n ** 64n), -(2n ** 64n) + 1n, -(2n ** 63n) - 1n, -(2n ** 63n), -65536n,
    -257n, -256n, -255n, -2n, -1n, 0n, 1n, 2n, 255n, 256n, 257n, 65536n, 2n ** 63n - 1n, 2n ** 63n, 2n ** 64n - 1n,
    2n ** 64n, 2n ** 64n + 1n, 2n ** 72n, MAX,
  ],
  numbers: [
    -Infinity, -Number.MAX_VALUE, -(2 ** 53), -2, -1.5, -1, -Number.MIN_VALUE, -0, 0, Number.MIN_VALUE, 1, 1.5, 2,
    2 ** 53, Number.MAX_VALUE, Infinity, NaN,
  ],
  booleans: [false, true],
};
const every = Object.values(parts).flat();

for (const [type, ofType] of Object.entries(parts)) {
  await test(`a key of ${type} is read as it was written`, async () => {
    using kv = await memory();
    for (const [i, part] of ofType.entries()) await kv.set(["a", part], i);
    for (const [i, part] of ofType.entries()) {
      const { key, value } = await kv.get(["a", part]);
      equal([key, value], [["a", part], i]);
      const [entry] = await Array.fromAsync(kv.list({ start: ["a", part], end: ["a", part, false] }));
      equal([entry.key, entry.value], [["a", part], i]);
      const atomic = await kv.atomic().check(entry).sum(["sum", part], 1n).delete(["a", part]).commit();
      equal([atomic.ok, (await kv.get(["a", part])).versionstamp], [true, null]);
    }
  });
}

await test("keys are listed in the order of their types, then of their parts", async () => {
  using kv = await memory();
  for (const part of every.toReversed()) await kv.set([part], 0);
  equal((await Array.fromAsync(kv.list({ prefix: [] }))).map((entry) => entry.key[0]), every);
  const reversed = await Array.fromAsync(kv.list({ prefix: [] }, { reverse: true, batchSize: 3 }));
  equal(reversed.map((entry) => entry.key[0]), every.toReversed());
});

await test("longer keys are listed in the same order", async () => {
  using kv = await memory();
  for (const part of every.toReversed()) await kv.set(["a", part, 1], 0);
  equal((await Array.fromAsync(kv.list({ prefix: ["a"] }))).map((entry) => entry.key[1]), every);
});

await test("a key sorts before those that it is a prefix of, and these before the next one", async () => {
  using kv = await memory();
  const keys: Deno.KvKey[] = [
    [bytes(1)], [bytes(1), bytes()], [bytes(1), true], [bytes(1, 0)], ["a"], ["a", bytes()], ["a", ""], ["a", "", 1],
    ["a", "b"], ["a", 1n], ["a", 1], ["a", true], ["a\0"], ["a\0", 1], ["ab"], [1n], [1n, true], [2n], [1], [1, true],
    [2], [false, true], [true],
  ];
  for (const key of keys.toReversed()) await kv.set(key, 0);
  equal((await Array.fromAsync(kv.list({ prefix: [] }))).map((entry) => entry.key), keys);
});

await test("a prefix matches whole parts", async () => {
  using kv = await memory();
  const below: Deno.KvKey[] = [["a", bytes(255)], ["a", "b"], ["a", "b", "c"], ["a", 1]];
  for (const key of [["a"], ["ab"], ["ab", "c"], ["a\0"], ["a\0", "b"], [bytes(97), 1], ...below]) await kv.set(key, 0);
  equal((await Array.fromAsync(kv.list({ prefix: ["a"] }))).map((entry) => entry.key), below);
});

await test("a prefix may end with every kind of part", async () => {
  using kv = await memory();
  for (const part of every) await kv.atomic().set([part], 0).set([part, "a"], 1).commit();
  for (const part of every) {
    equal((await Array.fromAsync(kv.list({ prefix: [part] }))).map((entry) => entry.key), [[part, "a"]]);
  }
});

await test("a key may have many parts", async () => {
  using kv = await memory();
  const key = Array.from({ length: 1024 }, (_, i) => i % 2 === 0);
  await kv.set(key, 1);
  equal((await kv.get(key)).value, 1);
  equal((await Array.fromAsync(kv.list({ prefix: key.slice(0, -1) }))).map((entry) => entry.key), [key]);
});

await test("a lone surrogate becomes U+FFFD", async () => {
  using kv = await memory();
  await kv.set(["\ud800x", "x\udc00"], 1);
  for (const key of [["\ud800x", "x\udc00"], ["\udfffx", "x\ud800"], ["\ufffdx", "x\ufffd"]]) {
    equal((await kv.get(key)).value, 1);
  }
  equal((await Array.fromAsync(kv.list({ prefix: [] }))).map((entry) => entry.key), [["\ufffdx", "x\ufffd"]]);
});

await test("views of a buffer are key parts of their bytes", async () => {
  using kv = await memory();
  const { buffer } = bytes(9, 1, 2, 0, 255, 9, 9, 9);
  const views = [
    new Uint8Array(buffer, 1, 4),
    new Uint8ClampedArray(buffer, 1, 4),
    new Int8Array(buffer, 1, 4),
    new DataView(buffer, 1, 4),
    new Uint16Array(bytes(1, 2, 0, 255).buffer),
    new Int32Array(bytes(1, 2, 0, 255).buffer),
    new Float32Array(bytes(1, 2, 0, 255).buffer),
  ] as any[];
  for (const view of views) {
    equal((await kv.get([view])).key, [view]);
    await kv.set([view], 1);
    equal((await kv.get([bytes(1, 2, 0, 255)])).value, 1);
    equal((await kv.get([view])).key, [bytes(1, 2, 0, 255)]);
    equal((await Array.fromAsync(kv.list({ prefix: [] }))).map((entry) => entry.key), [[bytes(1, 2, 0, 255)]]);
    await kv.delete([view]);
  }
});

await test("the payload of a NaN is ignored, the sign of a zero is not", async () => {
  using kv = await memory();
  const [payload] = new Float64Array(new BigUint64Array([0x7ff8000000000001n]).buffer);
  await kv.set([payload], "NaN");
  await kv.set([0], "0");
  equal((await kv.getMany([[NaN], [0], [-0]])).map((entry) => entry.value), ["NaN", "0", null]);
});

await test("an empty key can be read, but has no value", async () => {
  using kv = await memory();
  await kv.set(["a"], 1);
  equal(await kv.get([]), { key: [], value: null, versionstamp: null });
  equal(await kv.getMany([[]]), [{ key: [], value: null, versionstamp: null }]);
});

/** The calls that take a key, and reject if it is invalid. */
const calls: Record<string, (kv: Deno.Kv, key: any) => unknown> = {
  get: (kv, key) => kv.get(key),
  getMany: (kv, key) => kv.getMany([["a"], key]),
  set: (kv, key) => kv.set(key, 1),
  delete: (kv, key) => kv.delete(key),
  enqueue: (kv, key) => kv.enqueue(1, { keysIfUndelivered: [key] }),
  check: (kv, key) => kv.atomic().check({ key, versionstamp: null }).commit(),
  "set of an operation": (kv, key) => kv.atomic().set(["a"], 1).set(key, 1).commit(),
  "delete of an operation": (kv, key) => kv.atomic().set(["a"], 1).delete(key).commit(),
  "sum of an operation": (kv, key) => kv.atomic().set(["a"], 1).sum(key, 1n).commit(),
  mutate: (kv, key) => kv.atomic().mutate({ type: "set", key: ["a"], value: 1 }, { type: "delete", key }).commit(),
  "enqueue of an operation": (kv, key) => kv.atomic().set(["a"], 1).enqueue(1, { keysIfUndelivered: [key] }).commit(),
};
const selections: Record<string, (kv: Deno.Kv, key: any) => Deno.KvListIterator<unknown>> = {
  "prefix of list": (kv, prefix) => kv.list({ prefix }),
  "start of list": (kv, start) => kv.list({ start, end: ["b"] }),
  "end of list": (kv, end) => kv.list({ start: [], end }),
};

/** Values that cannot be key parts. */
const wrongParts: unknown[] = [
  {}, null, undefined, Symbol("s"), () => 1, new ArrayBuffer(2), new Date(0), [], ["a"], /a/, new Map(),
  new String("a"), new Number(1), Object(1n), new Boolean(true), new Deno.KvU64(1n), new SharedArrayBuffer(1),
];
for (const [name, call] of Object.entries({ ...calls, ...selections })) {
  await test(`${name} rejects parts of other types`, async () => {
    using kv = await memory();
    for (const part of wrongParts) {
      for (const key of [[part], ["a", part], [part, "a"]]) {
        const rejected = () => name in selections ? (call(kv, key) as AsyncIterator<unknown>).next() : call(kv, key);
        await rejects(rejected, "TypeError", "expected string, number, bigint, ArrayBufferView, boolean");
      }
    }
    await rejects(
      () => name in selections ? (call(kv, [,]) as AsyncIterator<unknown>).next() : call(kv, [,]),
      "TypeError",
      "expected string, number, bigint, ArrayBufferView, boolean",
    );
    equal(await Array.fromAsync(kv.list({ prefix: [] })), []);
  });
}
await test("watch throws synchronously for parts of other types", async () => {
  using kv = await memory();
  for (const part of wrongParts) {
    throwsSync(
      () => kv.watch([["a", part as string]]),
      "TypeError",
      "expected string, number, bigint, ArrayBufferView, boolean",
    );
  }
});

/** Keys that are not arrays, and their types in messages. */
const nonArrays: [unknown, string][] = [
  ["a", "string"],
  ["", "string"],
  [5, "number"],
  [new Uint8Array(2), "object"],
  [{ length: 1, 0: "a" }, "object"],
];
for (const [name, call] of Object.entries(calls)) {
  await test(`${name} rejects keys that are not arrays`, async () => {
    using kv = await memory();
    for (const [key, type] of nonArrays) {
      await rejects(() => call(kv, key), "TypeError", plain(`A key must be an array: received ${type}`));
    }
    equal(await Array.fromAsync(kv.list({ prefix: [] })), []);
  });
}
await test("watch throws synchronously for keys that are not arrays", async () => {
  using kv = await memory();
  for (const [key, type] of [...nonArrays, [undefined, "undefined"], [null, "null"]]) {
    const message = plain(`A key must be an array: received ${type}`);
    throwsSync(() => kv.watch([key as string[]]), "TypeError", message);
  }
});

await test("a selector accepts array-like objects", async () => {
  using kv = await memory();
  for (const letter of "abc") await kv.set(["x", letter], letter);
  const prefixes: any[] = ["x", { length: 1, 0: "x" }];
  for (const prefix of prefixes) equal((await Array.fromAsync(kv.list({ prefix }))).length, 3);
  const range: any = { start: "xb", end: "xc" };
  equal((await Array.fromAsync(kv.list(range))).map((entry) => entry.value), ["b"]);
});

await test("a missing key is rejected", async () => {
  using kv = await memory();
  for (const missing of [undefined, null] as any[]) {
    const unread = `Cannot read properties of ${missing} (reading 'length')`;
    const notArray = plain(`A key must be an array: received ${missing}`);
    const messages: Record<string, string | undefined> = {
      get: "Invalid range",
      getMany: "Invalid range",
      check: notArray,
      enqueue: notArray,
      "enqueue of an operation": notArray,
    };
    for (const [name, call] of Object.entries(calls)) {
      await rejects(() => call(kv, missing), "TypeError", name in messages ? messages[name] : unread);
    }
  }
  await rejects(() => (kv as any).get(), "TypeError", "Invalid range");
  equal(await Array.fromAsync(kv.list({ prefix: [] })), []);
});

await test("a bigint of more than 255 bytes is rejected", async () => {
  using kv = await memory();
  const message = "BigUint requires more than 255 bytes to be represented";
  const messages: Record<string, string> = {
    get: message,
    getMany: message,
    check: "Invalid check",
    enqueue: "Invalid enqueue",
    "enqueue of an operation": "Invalid enqueue",
  };
  for (const key of [[MAX + 1n], [-MAX - 1n], ["a", MAX + 1n, "b"]]) {
    for (const [name, call] of Object.entries(calls)) {
      await rejects(() => call(kv, key), "TypeError", messages[name] ?? `Invalid mutation: ${message}`);
    }
    await rejects(() => kv.list({ prefix: key }).next(), "TypeError", message);
    await rejects(() => kv.list({ start: key, end: [true] }).next(), "TypeError", message);
    await rejects(() => kv.list({ start: [], end: key }).next(), "TypeError", message);
  }
  equal(await Array.fromAsync(kv.list({ prefix: [] })), []);
});

await test("keys are copied when they are passed", async () => {
  using kv = await memory();
  const key = ["a", bytes(1)];
  const writing = kv.set(key, 1);
  key[0] = "b";
  await writing;
  equal((await kv.getMany([["a", bytes(1)], ["b", bytes(1)]])).map((entry) => entry.value), [1, null]);
  await throws(() => kv.get([1, , 2] as any), "TypeError", "expected string, number, bigint, ArrayBufferView, boolean");
});
