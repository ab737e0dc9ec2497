// Measures what scripts do with Deno KV. Runs unchanged on both runtimes:
//   openkv run -A benches/kv.ts [MEASURES...]
//   deno run -A --unstable-kv benches/kv.ts [MEASURES...]
// Prints a line of JSON for each measure: its name, the operations per second, and how many were timed.
import { expect, type Rate, repeat, some } from "./rate.ts";
import { BULK, countListed, LISTED, storeBulk, storeUsers, user, userKey } from "./users.ts";

/** The number of stored users for measures of single entries. */
const USERS = 10_000;
const keys = Array.from({ length: USERS }, (_, i) => userKey(i));

const measures: Record<string, () => Promise<Rate>> = {
  "get-hit": getHit,
  "get-miss": getMiss,
  "get-100-in-flight": getInFlight,
  "get-many-10": getMany,
  "list": list,
  "list-batch-1000": listLargeBatches,
  "list-reverse": listReverse,
  "list-limit-10": listLimit,
  "set": set,
  "sum": sum,
  "atomic-10-sets": atomic,
  "set-500-in-flight": setInFlight,
  "bulk-load": bulkLoad,
  "memory-get": memoryGet,
  "memory-set": memorySet,
  "queue": queue,
  "queue-1000-ready": queueReady,
  "watch": watch,
  "open-close": openClose,
};

/** The awaited get of a stored user. */
function getHit(): Promise<Rate> {
  return withUsers(USERS, getEach);
}

/** The awaited get of a missing key between existing ones. */
function getMiss(): Promise<Rate> {
  const missing = keys.map(([users, name]) => [users, `${String(name)}-missing`]);
  return withUsers(USERS, (kv) =>
    repeat(100, async (step) => {
      for (const key of some(missing, 100, step)) expect((await kv.get(key)).value === null);
    }));
}

/** 100 concurrent gets. */
function getInFlight(): Promise<Rate> {
  return withUsers(USERS, (kv) =>
    repeat(100, async (step) => {
      const entries = await Promise.all(some(keys, 100, step).map((key) => kv.get(key)));
      expect(entries.every((entry) => entry.value !== null));
    }));
}

/** One getMany of 10 keys counts as one operation. */
function getMany(): Promise<Rate> {
  return withUsers(USERS, (kv) =>
    repeat(10, async (step) => {
      for (let i = 0; i < 10; i++) {
        const entries = await kv.getMany(some(keys, 10, step * 10 + i));
        expect(entries.every((entry) => entry.value !== null));
      }
    }));
}

/** Each entry of a list counts. */
function list(): Promise<Rate> {
  return listWith({});
}

function listLargeBatches(): Promise<Rate> {
  return listWith({ batchSize: 1000 });
}

function listReverse(): Promise<Rate> {
  return listWith({ reverse: true });
}

function listWith(options: Deno.KvListOptions): Promise<Rate> {
  return withUsers(LISTED, (kv) =>
    repeat(LISTED, async () => {
      expect(await countListed(kv.list({ prefix: ["users"] }, options)) === LISTED);
    }));
}

/** A page of 10 users, from a different start each time, counts as one operation. */
function listLimit(): Promise<Rate> {
  const starts = keys.slice(0, -10);
  return withUsers(USERS, (kv) =>
    repeat(10, async (step) => {
      for (const start of some(starts, 10, step)) {
        expect(await countListed(kv.list({ prefix: ["users"], start }, { limit: 10 })) === 10);
      }
    }));
}

/** The awaited set of an existing user. */
function set(): Promise<Rate> {
  return withUsers(USERS, (kv) => setEach(kv, 10));
}

/** Awaited sums to one key. */
function sum(): Promise<Rate> {
  return withUsers(USERS, async (kv) => {
    const key = ["visits"];
    let summed = 0n;
    const rate = await repeat(10, async () => {
      for (let i = 0; i < 10; i++) await kv.atomic().sum(key, 1n).commit();
      summed += 10n;
    });
    expect((await kv.get<Deno.KvU64>(key)).value?.value === summed);
    return rate;
  });
}

/** One commit of 10 sets counts as one operation. */
function atomic(): Promise<Rate> {
  return withUsers(USERS, (kv) =>
    repeat(10, async (step) => {
      for (let i = 0; i < 10; i++) {
        const atomic = kv.atomic();
        for (const key of some(keys, 10, step * 10 + i)) atomic.set(key, user(step));
        expect((await atomic.commit()).ok);
      }
    }));
}

/** 500 concurrent sets. */
function setInFlight(): Promise<Rate> {
  return withUsers(USERS, (kv) =>
    repeat(500, async (step) => {
      await Promise.all(some(keys, 500, step).map((key) => kv.set(key, user(step))));
    }));
}

/** Awaited atomic operations of 500 users. Each user counts. */
function bulkLoad(): Promise<Rate> {
  return withUsers(0, (kv) => repeat(BULK, (step) => storeBulk(kv, step * BULK)));
}

function memoryGet(): Promise<Rate> {
  return inMemory(getEach);
}

function memorySet(): Promise<Rate> {
  return inMemory((kv) => setEach(kv, 100));
}

/** A message from its enqueue until its handler is called, sequentially. */
function queue(): Promise<Rate> {
  return withFile(async (path) => {
    const kv = await Deno.openKv(path);
    let handled: (message: unknown) => void;
    const listening = kv.listenQueue((message) => handled(message));
    const rate = await repeat(1, async (step) => {
      const message = new Promise((resolve) => handled = resolve);
      await kv.enqueue(step);
      expect(await message === step);
    });
    kv.close();
    await listening;
    return rate;
  });
}

/** 1000 messages in the queue, from the call of `listenQueue` until the last handler is called. */
function queueReady(): Promise<Rate> {
  const READY = 1000;
  return withFile(async (path) => {
    let left = 0;
    let allHandled: () => void;
    const handle = () => {
      if (--left === 0) allHandled();
    };
    let end = async () => {};
    const prepare = async () => {
      await end();
      const kv = await Deno.openKv(path);
      const atomic = kv.atomic();
      for (let i = 0; i < READY; i++) atomic.enqueue(user(i));
      await atomic.commit();
      left = READY;
      return kv;
    };
    const rate = await repeat(READY, async (_, kv) => {
      const drained = new Promise<void>((resolve) => allHandled = resolve);
      const listening = kv.listenQueue(handle);
      end = async () => {
        kv.close();
        await listening;
      };
      await drained;
    }, prepare);
    await end();
    return rate;
  });
}

/** A set, until it is acknowledged and a watcher has seen it. */
function watch(): Promise<Rate> {
  return withUsers(0, async (kv) => {
    const key = ["watched"];
    const items = kv.watch([key]).getReader();
    const seen = async (value: number) => {
      while ((await items.read()).value?.[0].value !== value);
    };
    const rate = await repeat(1, async (step) => {
      await Promise.all([seen(step), kv.set(key, step)]);
    });
    await items.cancel();
    return rate;
  });
}

/** Opening and closing a file that contains users, and is not open otherwise. */
function openClose(): Promise<Rate> {
  return withFile(async (path) => {
    const kv = await Deno.openKv(path);
    await storeUsers(kv, USERS);
    kv.close();
    return await repeat(10, async () => {
      for (let i = 0; i < 10; i++) (await Deno.openKv(path)).close();
    });
  });
}

function getEach(kv: Deno.Kv): Promise<Rate> {
  return repeat(100, async (step) => {
    for (const key of some(keys, 100, step)) expect((await kv.get(key)).value !== null);
  });
}

function setEach(kv: Deno.Kv, count: number): Promise<Rate> {
  return repeat(count, async (step) => {
    for (const key of some(keys, count, step)) await kv.set(key, user(step));
  });
}

/** Runs a measure with a new database file that contains a number of users. */
function withUsers(count: number, measure: (kv: Deno.Kv) => Promise<Rate>): Promise<Rate> {
  return withFile(async (path) => {
    const kv = await Deno.openKv(path);
    await storeUsers(kv, count);
    const rate = await measure(kv);
    kv.close();
    return rate;
  });
}

async function inMemory(measure: (kv: Deno.Kv) => Promise<Rate>): Promise<Rate> {
  using kv = await Deno.openKv(":memory:");
  await storeUsers(kv, USERS);
  return await measure(kv);
}

/** Runs a measure with the path of a new file, which is removed afterwards. */
async function withFile(measure: (path: string) => Promise<Rate>): Promise<Rate> {
  const directory = await Deno.makeTempDir({ prefix: "kv-bench-" });
  try {
    return await measure(`${directory}/kv.sqlite3`);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

const unknown = Deno.args.filter((name) => !Object.hasOwn(measures, name));
if (unknown.length > 0) {
  console.error(`unknown measure ${unknown.join(", ")}: choose from ${Object.keys(measures).join(", ")}`);
  Deno.exit(1);
}
for (const name of Deno.args.length > 0 ? Deno.args : Object.keys(measures)) {
  const { operations, milliseconds } = await measures[name]();
  console.log(JSON.stringify({ name, perSecond: operations / milliseconds * 1000, count: operations }));
}
