// Writes a database with every kind of key and value, for testdata/databases/make.
const kv = await Deno.openKv(Deno.args[0]);

const parts: Deno.KvKeyPart[] = [
  new Uint8Array([]),
  new Uint8Array([0, 1, 255]),
  "",
  "a\0b",
  "\u00e9\u{1f600}",
  -(2n ** 70n),
  -256n,
  -1n,
  0n,
  1n,
  2n ** 64n - 1n,
  2n ** 64n,
  NaN,
  -Infinity,
  -1.5,
  -0,
  0,
  1.5,
  Infinity,
  false,
  true,
];
for (const part of parts) await kv.set(["key", part], [part]);
await kv.set(["key", "nested", 1, true], "a longer key");

const map = new Map<unknown, unknown>([["a", 1], [2, new Set([3])]]);
const cycle: Record<string, unknown> = { name: "cycle" };
cycle.self = cycle;
const values: Record<string, unknown> = {
  undefined: undefined,
  null: null,
  boolean: true,
  number: 1.5,
  string: "text",
  latin: "\u00e9",
  wide: "\u{1f600}",
  bigint: 2n ** 80n,
  date: new Date(86400000),
  regexp: /a+/gi,
  array: [1, , 3],
  object: { a: { b: [1, 2, { c: "d" }] } },
  map,
  error: new RangeError("message"),
  bytes: new Uint8Array([1, 2, 3]),
  buffer: new Uint8Array([4, 5, 6]).buffer,
  floats: new Float64Array([1.5, -2.5]),
  cycle,
  u64: new Deno.KvU64(2n ** 64n - 1n),
};
for (const [name, value] of Object.entries(values)) await kv.set(["value", name], value);

await kv.set(["expiry", "far"], 1, { expireIn: 100 * 365 * 24 * 3600 * 1000 });
await kv.atomic().sum(["counter"], 40n).sum(["counter"], 2n).commit();
await kv.delete(["key", "a\0b"]);
kv.close();
