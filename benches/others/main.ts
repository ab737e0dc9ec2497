// Measures a store with values of several kinds:
//   openkv run -A benches/others/main.ts kv MEASURES...
//   deno run -A --unstable-kv benches/others/main.ts kv MEASURES...
// and in Node, bundled by `cargo xtask bench --others`, with lmdb, better-sqlite3 or classic-level instead of kv. A measure is the name
// of an operation and that of a kind: get-small. Prints a line of JSON for each: its name, the operations per second, and how many
// were timed.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import process from "node:process";
import { expect, type Rate, repeat } from "../rate.ts";
import { type Store, stores } from "./stores.ts";
import { type Kind, kinds } from "./values.ts";

const operations: Record<string, (store: Store, kind: Kind) => Promise<Rate>> = {
  /** An awaited get. */
  "get": (store, { count, check }) =>
    repeat(100, async (step) => {
      expect(await store.getEach(step * 100 % count, 100, check) === 100);
    }),
  /** Each entry of a list of all entries. */
  "list": (store, { count, check }) =>
    repeat(count, async () => {
      expect(await store.list(check) === count);
    }),
  /** An awaited set of an existing entry to another value: SQLite does not write an equal one. */
  "set": (store, { count, value }) =>
    repeat(10, (step) => store.setEach(step * 10 % count, 10, (i) => value(i + step + 1))),
  /** Each new entry of a transaction of many. */
  "load": (store, { count, bulk, value }) => repeat(bulk, (step) => store.load(count + step * bulk, bulk, value)),
  /** A fixed number of awaited gets, or twice as many: the difference of their system calls is that of the gets. */
  "reads": (store, kind) => reads(store, kind, READS),
  "reads-twice": (store, kind) => reads(store, kind, 2 * READS),
};

/** The number of gets whose system calls are counted: see `others.rs`. */
const READS = 100_000;

async function reads(store: Store, { count, check }: Kind, reads: number): Promise<Rate> {
  const start = performance.now();
  for (let i = 0; i < reads; i += count) expect(await store.getEach(0, count, check) === count);
  return { operations: reads, milliseconds: performance.now() - start };
}

/** Runs a measure with a new store. */
async function run(open: (typeof stores)[string], operation: string, kind: Kind): Promise<Rate> {
  const directory = mkdtempSync(`${tmpdir()}/others-`);
  try {
    const store = await open(directory, kind.count);
    for (let first = 0; first < kind.count; first += kind.bulk) await store.load(first, kind.bulk, kind.value);
    const rate = await operations[operation](store, kind);
    await store.close();
    return rate;
  } finally {
    rmSync(directory, { recursive: true });
  }
}

const [store, ...names] = process.argv.slice(2);
for (const name of names) {
  const [, operation, kind] = name.match(/^(.+)-(.+)$/) ?? [];
  if (!stores[store] || !operations[operation] || !kinds[kind]) {
    console.error(`unknown measure ${name} of the store ${store}`);
    process.exit(1);
  }
  const { operations: count, milliseconds } = await run(stores[store], operation, kinds[kind]);
  console.log(JSON.stringify({ name, perSecond: count / milliseconds * 1000, count }));
}
