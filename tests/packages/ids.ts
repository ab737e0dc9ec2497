// Keys of entries: ulid, nanoid and uuid.

import assert from "node:assert/strict";
import { customAlphabet, nanoid } from "nanoid";
import { decodeTime, isValid, monotonicFactory, ulid } from "ulid";
import { parse, stringify, v4, v5, v7, validate, version } from "uuid";

const kv = await Deno.openKv(":memory:");

const next = monotonicFactory();
const keys = Array.from({ length: 100 }, () => next(1_700_000_000_000));
for (const key of keys.toReversed()) await kv.set(["ulid", key], decodeTime(key));
const stored = await Array.fromAsync(kv.list<number>({ prefix: ["ulid"] }));
assert.deepEqual(stored.map((entry) => entry.key[1]), keys, "monotonic identifiers are the order of the entries");
assert(stored.every((entry) => entry.value === 1_700_000_000_000));
assert(isValid(ulid()) && !isValid("no ulid"));

const short = new Set(Array.from({ length: 1000 }, () => nanoid()));
assert.equal(short.size, 1000);
assert(short.values().every((id) => /^[\w-]{21}$/.test(id)));
assert.match(customAlphabet("01", 16)(), /^[01]{16}$/);

const id = v4();
assert(validate(id) && version(id) === 4);
await kv.set(["uuid", parse(id)], id);
const [entry] = await Array.fromAsync(kv.list<string>({ prefix: ["uuid"] }));
assert.equal(stringify(entry.key[1] as Uint8Array), entry.value);
assert.equal(v5("openkv", v5.URL), "7847c635-c82e-51bb-bdc1-e7621f3411fb");
assert(v7({ msecs: 1000 }) < v7({ msecs: 2000 }));

kv.close();
console.log("identifiers:", stored.length, short.size);
