// The values of several kinds.
import { BULK, user } from "../users.ts";
import type { Check, MakeValue } from "./stores.ts";

/** A kind of values. */
export interface Kind {
  /** The number of stored entries. */
  count: number;
  /** The number of entries that one transaction of a bulk load stores: Deno KV limits its size. */
  bulk: number;
  value: MakeValue;
  check: Check;
}

/** The length of a large text, and of bytes. */
const TEXT = 10_240;
const BYTES = 1000;

const text = "All work and no play makes a database fast. ".repeat(TEXT).slice(0, TEXT);

export const kinds: Record<string, Kind> = {
  "small": { count: 20_000, bulk: BULK, value: user, check: (value) => (value as { id: number }).id >= 0 },
  "nested": {
    count: 20_000,
    bulk: BULK,
    value: order,
    check: (value) => (value as ReturnType<typeof order>).created instanceof Date,
  },
  "10kb": {
    count: 2000,
    bulk: 50,
    value: (i) => ({ id: i, text }),
    check: (value) => (value as { text: string }).text.length === TEXT,
  },
  "bytes": {
    count: 20_000,
    bulk: BULK,
    value: (i) => new Uint8Array(BYTES).fill(i),
    check: (value) => (value as Uint8Array).length === BYTES,
  },
  "u64": { count: 20_000, bulk: BULK, value: u64, check: (value) => (value as bigint).valueOf() > 0n },
};

/** An object with dates and an array of objects. */
function order(i: number) {
  return {
    id: i,
    customer: { name: `User ${i}`, email: `user${i}@example.com` },
    created: new Date(1_700_000_000_000 + i),
    shipped: new Date(1_700_000_100_000 + i),
    items: [
      { name: "book", price: 12.5, count: 1 + i % 3 },
      { name: "pen", price: 1.25, count: 10 },
    ],
    tags: ["paid", "shipped"],
  };
}

/** A 64-bit counter: a `Deno.KvU64`, or a bigint where there is no such type. */
function u64(i: number): unknown {
  const value = (1n << 60n) + BigInt(i);
  return typeof Deno === "undefined" ? value : new Deno.KvU64(value);
}
