// Uses all features of a database at a steady rate, for a number of seconds, and checks every result. Prints its counts once a second,
// as JSON. Once all messages were delivered, prints "done", and closes the database when standard input is closed.
const [path, seconds] = Deno.args;

const TICK = 20;
const VALUES = 200;
const GREATEST = 60_000;
const BACKOFF = [20, 50, 100];
/** How long to wait for a condition, in milliseconds. */
const TIMEOUT = 60_000;

const counts = {
  operations: 0, // Commits, reads and lists.
  enqueued: 0,
  deliveries: 0,
  retries: 0, // Deliveries whose handler threw.
  undelivered: 0,
  late: 0, // The longest delay of a message, in milliseconds.
  changes: 0, // Commits to the watched key.
  watched: 0,
  watchDelay: 0, // The longest delay of a watch, in milliseconds.
  expiring: 0,
  expired: 0, // Entries that were checked after their expiry.
  handles: 0, // Databases that were opened and closed.
  dropped: 0, // Atomic operations that were built, and never committed.
  heap: 0, // The heap of V8, in bytes.
};

function assert(condition: unknown, what: string): asserts condition {
  if (!condition) throw new Error(`assertion failed: ${what}`);
}

const random = (below: number) => Math.floor(Math.random() * below);
const sleep = (milliseconds: number) => new Promise((resolve) => setTimeout(resolve, milliseconds));

async function until(condition: () => boolean, what: string) {
  const end = Date.now() + TIMEOUT;
  while (!condition()) {
    assert(Date.now() < end, `timed out: ${what}`);
    await sleep(10);
  }
}

async function collect<T>(entries: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const entry of entries) all.push(entry);
  counts.operations++;
  return all;
}

const kv = await Deno.openKv(path);

// Messages. Of forty, three fail once or more, and the last fails until it is given up.
type Plan = { failures: number; deliveries: number; notBefore: number };
const plans = new Map<number, Plan>();

const listening = kv.listenQueue((number: number) => {
  const plan = plans.get(number);
  assert(plan !== undefined, `message ${number} was redelivered`);
  const now = Date.now();
  assert(now >= plan.notBefore, `message ${number} was delivered early`);
  counts.late = Math.max(counts.late, now - plan.notBefore);
  counts.deliveries++;
  if (plan.deliveries++ < plan.failures) {
    counts.retries++;
    plan.notBefore = now + (BACKOFF[plan.deliveries - 1] ?? 0);
    throw "planned";
  }
  plans.delete(number);
});

async function enqueue() {
  const number = counts.enqueued++;
  const delay = random(2) * random(1000);
  const failures = Math.max(0, number % 40 - 35);
  plans.set(number, { failures, deliveries: 0, notBefore: Date.now() + delay });
  await kv.enqueue(number, { delay, backoffSchedule: BACKOFF, keysIfUndelivered: [["undelivered", number]] });
  counts.operations++;
}

async function collectUndelivered() {
  for (const { key, value } of await collect(kv.list<number>({ prefix: ["undelivered"] }))) {
    const plan = plans.get(value);
    assert(key[1] === value && plan?.deliveries === BACKOFF.length + 1, `message ${value} was given up`);
    plans.delete(value);
    counts.undelivered++;
    await kv.delete(key);
    counts.operations++;
  }
}

// Values of random size, and a model of them.
const model = new Map<number, { size: number; byte: number; versionstamp: string }>();

function isModel(key: number, value: Uint8Array | string | null): boolean {
  const stored = model.get(key);
  if (stored === undefined || value === null) return stored === undefined && value === null;
  const last = typeof value === "string" ? value.charCodeAt(value.length - 1) : value.at(-1);
  return value.length === stored.size && last === stored.byte;
}

async function write() {
  const key = random(VALUES);
  counts.operations++;
  if (random(10) === 0) {
    await kv.delete(["value", key]);
    model.delete(key);
    return;
  }
  const size = 1 + Math.floor(GREATEST * Math.random() ** 5);
  const byte = random(128);
  const value = key % 2 ? new Uint8Array(size).fill(byte) : String.fromCharCode(byte).repeat(size);
  const holds = random(5) > 0;
  const versionstamp = holds ? model.get(key)?.versionstamp ?? null : "0".repeat(20);
  const result = await kv.atomic().check({ key: ["value", key], versionstamp }).set(["value", key], value).commit();
  assert(result.ok === holds, `a check of ${key} ${holds ? "failed" : "succeeded"}`);
  if (result.ok) model.set(key, { size, byte, versionstamp: result.versionstamp });
}

async function read() {
  const keys = Array.from({ length: 10 }, () => random(VALUES));
  const entries = await kv.getMany<(Uint8Array | string)[]>(keys.map((key) => ["value", key]));
  const entry = await kv.get<Uint8Array | string>(["value", keys[0]]);
  counts.operations += 2;
  [...entries, entry].forEach(({ key, value }) => assert(isModel(key[1] as number, value), `value ${String(key[1])} differs`));
}

async function list() {
  const reverse = random(2) === 1;
  const limit = random(2) === 1 ? 1 + random(50) : undefined;
  const batchSize = 1 + random(100);
  const entries = await collect(kv.list<Uint8Array | string>({ prefix: ["value"] }, { reverse, limit, batchSize }));
  const expected = [...model.keys()].sort((a, b) => reverse ? b - a : a - b).slice(0, limit);
  assert(String(entries.map(({ key }) => key[1])) === String(expected), "a list differs");
  entries.forEach(({ key, value }) => assert(isModel(key[1] as number, value), `value ${String(key[1])} differs`));
}

// Expiring entries, with bounds of the time of their expiry.
const expiring = new Map<number, { earliest: number; latest: number }>();

async function expire() {
  const number = counts.expiring++;
  const expireIn = 1 + random(1000);
  const earliest = Date.now() + expireIn;
  await kv.set(["expiring", number], number, { expireIn });
  expiring.set(number, { earliest, latest: Date.now() + expireIn });
  counts.operations++;
}

async function checkExpiring() {
  const before = Date.now();
  const listed = new Set((await collect(kv.list<number>({ prefix: ["expiring"] }))).map(({ value }) => value));
  const after = Date.now();
  for (const [number, { earliest, latest }] of expiring) {
    assert(after >= earliest || listed.has(number), `${number} was gone before it expired`);
    if (before <= latest) continue;
    const { value } = await kv.get(["expiring", number]);
    assert(value === null && !listed.has(number), `${number} was read after it had expired`);
    counts.operations++;
    counts.expired++;
    expiring.delete(number);
  }
}

// A watch of a number that increases.
let seen = 0;
const written: { number: number; at: number }[] = [];

async function watch() {
  for await (const [{ value }] of kv.watch<number[]>([["watched"]])) {
    if (value === null) continue;
    assert(value > seen, "a watched number decreased");
    seen = value;
    counts.watched++;
    while (written.length > 0 && written[0].number <= seen) {
      counts.watchDelay = Math.max(counts.watchDelay, Date.now() - written.shift()!.at);
    }
  }
}

async function count() {
  const number = ++counts.changes;
  written.push({ number, at: Date.now() });
  await kv.atomic().set(["watched"], number).sum(["sum", number % 4], 1n).max(["greatest"], BigInt(number)).commit();
  counts.operations++;
}

// A second handle, and a database in memory, each closed while it listens, watches and lists.
async function openAndClose() {
  for (const where of [path, ":memory:"]) {
    using other = await Deno.openKv(where);
    // Only the first handle listens to the messages of the file.
    const listening = where === ":memory:" ? other.listenQueue(() => {}) : undefined;
    const watched = other.watch([["handle"]]).getReader();
    await watched.read();
    const { versionstamp } = await other.set(["handle"], counts.handles);
    const entry = await other.get(["handle"]);
    assert(entry.value === counts.handles && entry.versionstamp === versionstamp, "a handle reads another value");
    await other.list({ start: [""], end: [true] }, { batchSize: 1 }).next();
    other.close();
    await listening;
    while (!(await watched.read()).done);
    counts.handles++;
    counts.operations += 5;
  }
}

/** Builds an operation that is never committed. */
function drop() {
  const atomic = kv.atomic();
  for (let i = 0; i < 100; i++) atomic.set(["never", i], new Uint8Array(1000)).enqueue("never");
  counts.dropped++;
}

const watching = watch();
const begin = Date.now();
let reported = begin;
let next = begin;
while (next < begin + Number(seconds) * 1000) {
  await Promise.all([enqueue(), write(), expire(), count()]);
  await Promise.all([read(), list(), checkExpiring(), collectUndelivered()]);
  if (counts.changes % 10 === 0) await openAndClose();
  if (counts.changes % 20 === 0) drop();
  if (Date.now() >= reported + 1000) {
    reported += 1000;
    counts.heap = Deno.memoryUsage().heapUsed;
    console.log(JSON.stringify({ ...counts }));
  }
  next = Math.max(next + TICK, Date.now() - 1000);
  await sleep(Math.max(0, next - Date.now()));
}

await until(() => seen === counts.changes, "the last change of a watch");
const end = Date.now() + TIMEOUT;
while (plans.size > 0 || expiring.size > 0) {
  assert(Date.now() < end, `timed out: messages ${[...plans.keys()]}, entries ${[...expiring.keys()]}`);
  await Promise.all([collectUndelivered(), checkExpiring()]);
  await sleep(10);
}
let sum = 0n;
for (const { value } of await collect(kv.list<Deno.KvU64>({ prefix: ["sum"] }))) sum += value.value;
const greatest = (await kv.get<Deno.KvU64>(["greatest"])).value?.value;
const changes = BigInt(counts.changes);
assert(sum === changes && greatest === changes, `after ${changes} changes, the sum is ${sum}, the greatest ${greatest}`);
assert((await collect(kv.list({ prefix: ["never"] }))).length === 0, "an operation without commit() was committed");

console.log(JSON.stringify({ ...counts }));
console.log("done");
for await (const _ of Deno.stdin.readable);
kv.close();
await Promise.all([listening, watching]);
