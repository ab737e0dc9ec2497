// deno-lint-ignore-file no-explicit-any
import { equal, memory, plain, rejects, test, throws, throwsSync } from "./harness.ts";

/** Stores a value, and reads it back. */
async function stored<T>(value: T): Promise<any> {
  using kv = await memory();
  await kv.set(["a"], value);
  const entry = await kv.get(["a"]);
  const [listed] = await Array.fromAsync(kv.list({ prefix: [] }));
  equal(Object.prototype.toString.call(listed.value), Object.prototype.toString.call(entry.value));
  equal(entry.versionstamp !== null, true);
  return entry.value;
}

/** Values that are read as they were stored, by kind. */
const values: Record<string, unknown[]> = {
  "undefined and null": [undefined, null, [undefined, null], { a: undefined }],
  booleans: [false, true],
  numbers: [0, -0, 1, -1, 1.5, 2 ** 31, 2 ** 53, Number.MAX_VALUE, Number.MIN_VALUE, Infinity, -Infinity, NaN],
  bigints: [0n, 1n, -1n, 2n ** 63n, -(2n ** 64n), 2n ** 4000n],
  strings: ["", "a", "\0", "\u00ff", "\u0100", "\u{1f600}", "\ud800", "a".repeat(60000)],
  "boxed primitives": [new Number(1), new Number(-0), new String("a"), new Boolean(false), Object(5n)],
  dates: [new Date(0), new Date(-1), new Date(8.64e15), new Date(NaN)],
  "regular expressions": [/a/, /[/]\n\u{1f600}/u, new RegExp("", "dgimsy"), /a/v],
  objects: [{}, { a: { b: { c: [{}] } }, "": 1, 1: 2, toString: 4 }, JSON.parse('{"__proto__":{"a":1}}')],
  arrays: [[], [1, "a", null], [[[]]], [1, , 3], [, ,], new Array(1000), Object.assign([1, 2], { x: 1 })],
  maps: [new Map(), new Map<any, any>([["a", 1], [1, "a"], [{ a: 1 }, new Map([[NaN, undefined]])], [null, []]])],
  sets: [new Set(), new Set<any>([1, "1", { a: 1 }, new Set([NaN])])],
  buffers: [new ArrayBuffer(0), new Uint8Array([1, 2, 0, 255]).buffer, { a: new ArrayBuffer(3) }],
  bytes: [new Uint8Array(), new Uint8Array([0, 255]), { a: new Uint8Array([1, 2]) }, [new Uint8Array(3)]],
  "typed arrays": [
    Int8Array, Uint8ClampedArray, Int16Array, Uint16Array, Int32Array, Uint32Array, Float16Array, Float32Array,
    Float64Array,
    BigInt64Array, BigUint64Array,
  ].map((type: any) => type.from(/^Big/.test(type.name) ? [0n, 1n, -1n] : [0, 1, -1, 200])),
  views: [new DataView(new ArrayBuffer(0)), new DataView(new Uint8Array([1, 2, 3]).buffer, 1, 1)],
  "KvU64s": [new Deno.KvU64(0n), new Deno.KvU64(2n ** 64n - 1n)],
};
for (const [kind, ofKind] of Object.entries(values)) {
  await test(`${kind} are values`, async () => {
    for (const value of ofKind) equal(await stored(value), value);
  });
}

await test("the values of a list are those of get", async () => {
  using kv = await memory();
  const shared = { a: 1 };
  const self: any = {};
  self.self = self;
  const nested = JSON.parse("[".repeat(100) + "]".repeat(100));
  const objects = Array.from({ length: 50 }, (_, i) => ({ id: i, name: `name ${i}`, "\u0100": "\u0100".repeat(i), at: new Date(i) }));
  const all: unknown[] = [[shared, shared], ...objects, self, nested, ...Object.values(values).flat(), "last"];
  for (const [i, value] of all.entries()) await kv.set([i], value);
  const listed = await Array.fromAsync(kv.list<any>({ prefix: [] }, { batchSize: 500 }));
  equal(listed.length, all.length);
  for (const [i, { key, value }] of listed.entries()) {
    equal(key, [i]);
    const got = (await kv.get<any>(key)).value;
    if (all[i] === self) equal([value.self === value, got.self === got], [true, true]);
    else equal(value, got);
    equal(Object.getPrototypeOf(value ?? {}) === Object.getPrototypeOf(got ?? {}), true);
  }
  equal(listed[0].value[0] === listed[0].value[1], true);
});

await test("a value keeps its type", async () => {
  const types = [Object, Array, Map, Set, Date, Uint8Array, Float64Array, DataView, ArrayBuffer, Deno.KvU64];
  const instances = [{}, [], new Map(), new Set(), new Date(), new Uint8Array(), new Float64Array()];
  const more = [new DataView(new ArrayBuffer(1)), new ArrayBuffer(1), new Deno.KvU64(1n)];
  for (const [i, value] of [...instances, ...more].entries()) {
    equal(Object.getPrototypeOf(await stored(value)) === types[i].prototype, true);
  }
});

await test("the last index of a regular expression is lost", async () => {
  const expression = /a/g;
  expression.lastIndex = 3;
  equal((await stored(expression)).lastIndex, 0);
});

await test("holes of an array are kept", async () => {
  const value = await stored([1, , 3]);
  equal([value.length, 1 in value, Object.keys(value)], [3, false, ["0", "2"]]);
});

await test("keys of an object keep their order", async () => {
  equal(Object.keys(await stored({ b: 1, a: 2, 1: 3, 0: 4 })), ["0", "1", "b", "a"]);
});

await test("a value may contain itself", async () => {
  const value: any = { list: [], map: new Map(), set: new Set() };
  value.self = value;
  value.list.push(value.list, value);
  value.map.set("map", value.map).set(value, value);
  value.set.add(value.set).add(value);
  const read = await stored(value);
  equal([read.self === read, read.list[0] === read.list, read.list[1] === read], [true, true, true]);
  equal([read.map.get("map") === read.map, read.map.get(read) === read], [true, true]);
  equal([read.set.has(read.set), read.set.has(read)], [true, true]);
});

await test("an object that occurs twice in a value is one object", async () => {
  const shared = { a: 1 };
  const buffer = new Uint8Array([1, 2, 3]).buffer;
  const boxed = Object(1n);
  const read = await stored([shared, { shared }, new Uint8Array(buffer), new DataView(buffer), buffer, boxed, boxed]);
  equal([read[0] === read[1].shared, read[5] === read[6]], [true, true]);
  equal([read[2].buffer === read[3].buffer, read[3].buffer === read[4]], [true, true]);
});

await test("a read value is a copy", async () => {
  using kv = await memory();
  const value = { a: [1] };
  await kv.set(["a"], value);
  value.a.push(2);
  const first = await kv.get<typeof value>(["a"]);
  first.value!.a.push(3);
  equal((await kv.get(["a"])).value, { a: [1] });
});

await test("a value is copied when it is passed", async () => {
  using kv = await memory();
  const object = { a: 1 };
  const bytes = new Uint8Array([1]);
  const operation = kv.atomic().set(["a"], object).mutate({ type: "set", key: ["b"], value: object });
  object.a = 2;
  await operation.commit();
  const writing = Promise.all([kv.set(["c"], object), kv.set(["d"], bytes)]);
  object.a = 3;
  bytes[0] = 2;
  await writing;
  const entries = await kv.getMany([["a"], ["b"], ["c"], ["d"]]);
  equal(entries.map((entry) => entry.value), [{ a: 1 }, { a: 1 }, { a: 2 }, new Uint8Array([1])]);
});

const errors = [Error, EvalError, RangeError, ReferenceError, SyntaxError, TypeError, URIError];
for (const type of errors) {
  await test(`a ${type.name} keeps its class, message, stack and cause`, async () => {
    const value = new type("message", { cause: { a: new RangeError("inner") } });
    const read = await stored(value);
    equal([read.constructor.name, Object.getPrototypeOf(read) === type.prototype], [type.name, true]);
    equal([read.name, read.message, read.stack], [type.name, "message", value.stack]);
    equal([read.cause.a.constructor.name, read.cause.a.message], ["RangeError", "inner"]);
    equal([Object.hasOwn(read, "name"), Object.keys(read), Object.hasOwn(read, "cause")], [false, [], true]);
    equal(Object.hasOwn(await stored(new type("a")), "cause"), false);
  });
}

await test("an error loses its own properties, its own name and its own class", async () => {
  class Own extends TypeError {
    override name = "Own";
    extra = 1;
  }
  const renamed = Object.assign(new Error("renamed"), { code: 5 });
  renamed.name = "RangeError";
  const others = [new Own("own"), new AggregateError([1], "all"), new Deno.errors.NotFound("lost"), renamed];
  const names: string[] = [];
  for (const value of others) {
    const read = await stored(value);
    equal([read.message, read.stack, Object.keys(read)], [value.message, value.stack, []]);
    names.push(read.name, read.constructor.name);
  }
  equal(names, ["Error", "Error", "Error", "Error", "Error", "Error", "RangeError", "RangeError"]);
});

await test("a stack is kept unchanged", async () => {
  const value = new Error("message");
  value.stack = "mine";
  equal((await stored(value)).stack, "mine");
  delete value.stack;
  equal((await stored(value)).stack, undefined);
});

await test("an object loses everything except its data", async () => {
  class Class {
    #hidden = 1;
    shown = 2;
    get computed() {
      return this.#hidden;
    }
  }
  const read = await stored(new Class());
  equal([read, Object.getPrototypeOf(read) === Object.prototype], [{ shown: 2 }, true]);
  equal(await stored(Object.assign(Object.create(null), { a: 1 })), { a: 1 });
  equal(await stored(Object.assign(Object.create({ inherited: 1 }), { a: 1 })), { a: 1 });
  equal(await stored({ [Symbol("s")]: 1, a: 1 }), { a: 1 });
  equal(await stored(Object.defineProperty({ a: 1 }, "hidden", { value: 1 })), { a: 1 });
  equal(await stored([new URL("http://localhost/"), Math]), [{}, {}]);
  const frozen = await stored(Object.freeze({ a: 1 }));
  equal(Object.isFrozen(frozen), false);
});

await test("getters are called", async () => {
  let calls = 0;
  equal(await stored({ get a() { return ++calls; } }), { a: 1 });
  equal(calls, 1);
});

await test("an exception of a getter is thrown", async () => {
  using kv = await memory();
  const value = { get a() { throw new RangeError("mine"); } };
  await rejects(() => kv.set(["a"], value), "RangeError", "mine");
  throwsSync(() => kv.atomic().set(["a"], value), "RangeError", "mine");
  equal((await kv.get(["a"])).versionstamp, null);
});

await test("bytes are read without the rest of their buffer", async () => {
  const whole = new Uint8Array([1, 2, 3, 4]);
  const read = await stored(whole.subarray(1, 3));
  equal([read, read.byteOffset, read.buffer.byteLength], [new Uint8Array([2, 3]), 0, 2]);
  class Bytes extends Uint8Array {}
  equal((await stored(new Bytes([1, 2]))).constructor === Uint8Array, true);
});

await test("a view within a value is stored with its whole buffer", async () => {
  const [read] = await stored([new Uint8Array([1, 2, 3, 4]).subarray(1, 3)]);
  equal([read, read.byteOffset, read.buffer.byteLength], [new Uint8Array([2, 3]), 1, 4]);
});

await test("a resizable buffer stays resizable", async () => {
  const read = await stored(new ArrayBuffer(2, { maxByteLength: 10 }));
  equal([read.byteLength, read.resizable, read.maxByteLength], [2, true, 10]);
});

await test("a KvU64 within a value is a plain object", async () => {
  const read = await stored({ a: new Deno.KvU64(5n), b: [new Deno.KvU64(6n)] });
  equal(read, { a: { value: 5n }, b: [{ value: 6n }] });
  equal([read.a instanceof Deno.KvU64, Object.isFrozen(read.a)], [false, false]);
});

await test("a blob keeps its type and contents", async () => {
  for (const wrap of [(value: any) => value, (value: any) => ({ a: [value] })]) {
    const blob = new Blob(["abc", new Uint8Array([0, 255])], { type: "text/plain" });
    const read = await stored(wrap(blob));
    const copy = read.a?.[0] ?? read;
    equal([copy instanceof Blob, copy.size, copy.type], [true, 5, "text/plain"]);
    equal(await copy.bytes(), new Uint8Array([97, 98, 99, 0, 255]));
    equal(await copy.slice(1, 3).text(), "bc");
    equal(await blob.text(), await copy.text());
  }
});

await test("a file keeps its name, type, time and contents", async () => {
  const file = new File(["abc"], "f.txt", { type: "text/x", lastModified: 5 });
  const copy = await stored(file);
  equal([copy instanceof File, copy instanceof Blob, copy.size], [true, true, 3]);
  equal([copy.name, copy.type, copy.lastModified, await copy.text()], ["f.txt", "text/x", 5, "abc"]);
  equal(await file.text(), "abc");
});

await test("a DOMException keeps its name, message, code and stack", async () => {
  const exception = new DOMException("message", "AbortError");
  for (const copy of [await stored(exception), (await stored([exception]))[0]]) {
    equal([copy instanceof DOMException, copy instanceof Error], [true, true]);
    equal([copy.name, copy.message, copy.code, copy.stack], ["AbortError", "message", 20, exception.stack]);
  }
});

await test("a secret key can be used after it was stored", async () => {
  const key = await crypto.subtle.generateKey({ name: "HMAC", hash: "SHA-256" }, true, ["sign", "verify"]);
  const copy = await stored(key);
  equal([copy instanceof CryptoKey, copy.type, copy.extractable], [true, "secret", true]);
  equal([copy.algorithm, copy.usages], [key.algorithm, key.usages]);
  const exported = await Promise.all([key, copy].map((each) => crypto.subtle.exportKey("raw", each)));
  equal(exported[0], exported[1]);
  const signature = await crypto.subtle.sign("HMAC", copy, new Uint8Array([1]));
  equal(await crypto.subtle.verify("HMAC", key, signature, new Uint8Array([1])), true);
});

await test("a key that cannot be extracted can be stored, and stays non-extractable", async () => {
  const key = await crypto.subtle.generateKey({ name: "AES-GCM", length: 128 }, false, ["encrypt", "decrypt"]);
  const copy = await stored(key);
  equal([copy instanceof CryptoKey, copy.extractable], [true, false]);
  const options = { name: "AES-GCM", iv: new Uint8Array(12) };
  const secret = await crypto.subtle.encrypt(options, copy, new Uint8Array([1, 2]));
  equal(new Uint8Array(await crypto.subtle.decrypt(options, key, secret)), new Uint8Array([1, 2]));
});

await test("a key pair can be used after it was stored", async () => {
  const options = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };
  const pair = await crypto.subtle.generateKey(options, true, ["sign", "verify"]);
  const copy = await stored(pair);
  equal([copy.publicKey.type, copy.privateKey.type], ["public", "private"]);
  const signature = await crypto.subtle.sign(options, copy.privateKey, new Uint8Array([1]));
  equal(await crypto.subtle.verify(options, copy.publicKey, signature, new Uint8Array([1])), true);
});

/** Values that cannot be stored, the class of the error, and its message. */
const unsupported: Record<string, [make: () => unknown, type: string, message: string]> = {
  "a function": [() => Math.max, "TypeError", "function max() { [native code] } could not be cloned."],
  "a class": [() => Deno.errors.NotFound, "TypeError", `${Deno.errors.NotFound} could not be cloned.`],
  "a symbol": [() => Symbol("s"), "TypeError", "Symbol(s) could not be cloned."],
  "a symbol of the language": [() => Symbol.iterator, "TypeError", "Symbol(Symbol.iterator) could not be cloned."],
  "a SharedArrayBuffer": [() => new SharedArrayBuffer(1), "Error", "#<SharedArrayBuffer> could not be cloned."],
  "a view of a SharedArrayBuffer": [
    () => new Float64Array(new SharedArrayBuffer(8)),
    "Error",
    "#<SharedArrayBuffer> could not be cloned.",
  ],
  "a WeakMap": [() => new WeakMap(), "TypeError", "#<WeakMap> could not be cloned."],
  "a WeakSet": [() => new WeakSet(), "TypeError", "#<WeakSet> could not be cloned."],
  "a WeakRef": [() => new WeakRef({}), "TypeError", "#<WeakRef> could not be cloned."],
  "a FinalizationRegistry": [
    () => new FinalizationRegistry(() => {}),
    "TypeError",
    "#<FinalizationRegistry> could not be cloned.",
  ],
  "a promise": [() => Promise.resolve(), "TypeError", "#<Promise> could not be cloned."],
  "a proxy": [() => new Proxy({ a: 1 }, {}), "TypeError", "#<Object> could not be cloned."],
  "a proxy of an array": [() => new Proxy([1], {}), "TypeError", "[object Array] could not be cloned."],
  "a generator": [() => (function* () {})(), "TypeError", "[object Generator] could not be cloned."],
  "an iterator": [() => [][Symbol.iterator](), "TypeError", "[object Array Iterator] could not be cloned."],
  "arguments": [
    () => (function () { return arguments; })(),
    "TypeError",
    "#<Object> could not be cloned.",
  ],
  "a number format": [() => new Intl.NumberFormat(), "TypeError", "#<NumberFormat> could not be cloned."],
  "a WebAssembly.Module": [
    () => new WebAssembly.Module(new Uint8Array([0, 97, 115, 109, 1, 0, 0, 0])),
    "TypeError",
    "Wasm modules cannot be stored",
  ],
  "a WebAssembly.Memory": [
    () => new WebAssembly.Memory({ initial: 1 }),
    "TypeError",
    "#<Memory> could not be cloned.",
  ],
  "a detached buffer": [
    () => {
      const buffer = new ArrayBuffer(1);
      structuredClone(buffer, { transfer: [buffer] });
      return buffer;
    },
    "TypeError",
    "An ArrayBuffer is detached and could not be cloned.",
  ],
  "a message port": [() => new MessageChannel().port1, "TypeError", "Unsupported object type"],
  "a stream": [() => new ReadableStream(), "TypeError", "Unsupported object type"],
};
for (const [name, [make, type, message]] of Object.entries(unsupported)) {
  await test(`${name} cannot be stored, and nothing is written`, async () => {
    for (const value of [make(), [1, make()], { a: { b: make() } }, new Map([[1, make()]])] as any[]) {
      using kv = await memory();
      await rejects(() => kv.set(["a"], value), type, message);
      throwsSync(() => kv.atomic().set(["a"], value), type, message);
      throwsSync(() => kv.atomic().mutate({ type: "set", key: ["a"], value }), type, message);
      await rejects(() => kv.enqueue(value, { keysIfUndelivered: [["a"]] }), type, message);
      throwsSync(() => kv.atomic().enqueue(value, { keysIfUndelivered: [["a"]] }), type, message);
      equal(await kv.get(["a"]), { key: ["a"], value: null, versionstamp: null });
      equal(await Array.fromAsync(kv.list({ prefix: [] })), []);
    }
  });
}

await test("an operation that rejected a value keeps its other mutations", async () => {
  using kv = await memory();
  const operation = kv.atomic().set(["a"], 1);
  throwsSync(() => operation.set(["b"], Symbol("s")), "TypeError", "Symbol(s) could not be cloned.");
  await operation.set(["c"], 3).commit();
  equal((await Array.fromAsync(kv.list({ prefix: [] }))).map((entry) => entry.value), [1, 3]);
});

await test("bytes of a SharedArrayBuffer reject the write", async () => {
  using kv = await memory();
  const value = new Uint8Array(new SharedArrayBuffer(1));
  const message = plain("a Uint8Array of shared memory cannot be stored: store a copy, for example with slice()");
  await rejects(() => kv.set(["a"], value), "TypeError", message);
  await throws(() => kv.atomic().set(["b"], 1).set(["a"], value).commit(), "TypeError", message);
  equal(await Array.fromAsync(kv.list({ prefix: [] })), []);
});

await test("a missing value is undefined", async () => {
  using kv = await memory();
  await (kv as any).set(["a"]);
  await (kv.atomic() as any).set(["b"]).commit();
  const entries = await kv.getMany([["a"], ["b"]]);
  equal(entries.map(({ value, versionstamp }) => [value, versionstamp === null]), Array(2).fill([undefined, false]));
});
