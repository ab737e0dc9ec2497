// Measures operations on a remote database:
//   DENO_KV_ACCESS_TOKEN=TOKEN deno run -A --unstable-kv benches/remote.ts URL [MEASURES...]
// Prints a line of JSON for each measure: its name, the operations per second, and the number of timed operations. The database
// should be empty.
import { expect, type Rate, repeat, some } from "./rate.ts";
import { storeUsers, user, userKey } from "./users.ts";

/** How many users are stored. */
const USERS = 1000;
const keys = Array.from({ length: USERS }, (_, i) => userKey(i));

const [url, ...names] = Deno.args;
const kv = await Deno.openKv(url);
await storeUsers(kv, USERS);

const measures: Record<string, () => Promise<Rate>> = {
  /** The awaited get of a stored user. */
  "get": () => each((key) => kv.get(key)),
  /** The awaited set of a stored user. */
  "set": () => each((key, step) => kv.set(key, user(step))),
  /** 100 gets at a time. */
  "get-100-in-flight": () => inFlight((key) => kv.get(key)),
  /** 100 sets at a time. */
  "set-100-in-flight": () => inFlight((key, step) => kv.set(key, user(step))),
  /** All users, in batches of the default size of 100. */
  "list": () => list(100),
  /** All users, in the largest batches. */
  "list-batch-500": () => list(500),
  /** From a set by another connection until a watch yields the value. */
  "watch": watch,
};

/** Awaits an operation for one key after another. */
function each(operation: (key: Deno.KvKey, step: number) => Promise<unknown>): Promise<Rate> {
  return repeat(10, async (step) => {
    for (const key of some(keys, 10, step)) expect(await operation(key, step) !== null);
  });
}

function inFlight(operation: (key: Deno.KvKey, step: number) => Promise<unknown>): Promise<Rate> {
  return repeat(100, async (step) => {
    await Promise.all(some(keys, 100, step).map((key) => operation(key, step)));
  });
}

function list(batchSize: number): Promise<Rate> {
  return repeat(USERS, async () => {
    let count = 0;
    for await (const _ of kv.list({ prefix: userKey(0).slice(0, -1) }, { batchSize })) count++;
    expect(count === USERS);
  });
}

async function watch(): Promise<Rate> {
  using other = await Deno.openKv(url);
  const key = ["watched"];
  await other.set(key, -1);
  const items = kv.watch<[number]>([key]).getReader();
  await items.read();
  const rate = await repeat(1, async (step) => {
    await other.set(key, step);
    for (let seen = -1; seen !== step;) seen = (await items.read()).value![0].value!;
  });
  await items.cancel();
  return rate;
}

for (const name of names.length > 0 ? names : Object.keys(measures)) {
  const { operations, milliseconds } = await measures[name]();
  console.log(JSON.stringify({ name, perSecond: operations / milliseconds * 1000, count: operations }));
}
// Otherwise, a watch may keep the process alive.
Deno.exit();
