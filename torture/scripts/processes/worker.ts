// One of several processes that mix all operations on one file, for a number of seconds. Checks the entries that only this process
// changes, and counts its changes of shared ones. Prints the counts and the durations of operations in milliseconds, as JSON. Fails on
// a wrong result or an error.
const [path, index, workers, seconds, accounts] = [Deno.args[0], ...Deno.args.slice(1).map(Number)] as [
  string,
  number,
  number,
  number,
  number,
];
const watchdog = setTimeout(() => {
  console.error("the process hangs");
  Deno.exit(1);
}, (seconds + 120) * 1000);

const kv = await Deno.openKv(path);
const counts = {
  increments: 0,
  lost: 0,
  sums: 0,
  greatest: 0,
  logged: 0,
  moves: 0,
  snapshots: 0,
  sent: 0,
  received: 0,
  watched: 0,
};
const times: Record<string, number[]> = {};
/** The entries under the keys of this process. */
const own = new Map<number, { value: unknown; versionstamp: string }>();
/** The expiring entries: before their set, and the latest time of their expiry. */
let expiring: { key: Deno.KvKey; begin: number; end: number }[] = [];

const random = (below: number) => Math.floor(Math.random() * below);
const record = (kind: string, time: number) => void (times[kind] ??= []).push(Math.round(time * 1000) / 1000);
const tick = (milliseconds: number) => new Promise((resolve) => setTimeout(resolve, milliseconds));

function expect(holds: boolean, ...what: unknown[]) {
  if (!holds) throw new Error(what.map((part) => JSON.stringify(part)).join(" "));
}

async function timed<T>(kind: string, operation: () => Promise<T>): Promise<T> {
  const begin = performance.now();
  const result = await operation();
  record(kind, performance.now() - begin);
  return result;
}

/** Commits an operation that must succeed. */
async function commit(kind: string, atomic: Deno.AtomicOperation) {
  const result = await timed(kind, () => atomic.commit());
  if (!result.ok) throw new Error(`${kind} was not committed`);
}

function checkOwn(entry: Deno.KvEntryMaybe<unknown>) {
  const stored = own.get(entry.key.at(-1) as number);
  const same = JSON.stringify([entry.value, entry.versionstamp]) ===
    JSON.stringify([stored?.value ?? null, stored?.versionstamp ?? null]);
  expect(same, "read", entry, "instead of", stored);
}

/** Checks that the money of all accounts is constant. */
function checkAccounts(entries: Deno.KvEntryMaybe<number>[]) {
  const money = entries.reduce((sum, { value }) => sum + (value ?? 0), 0);
  expect(entries.length === accounts && money === 100 * accounts, "a snapshot of the accounts is", entries);
  counts.snapshots++;
}

const operations: [number, () => Promise<void>][] = [
  [6, async () => {
    const key = random(200);
    const value = { text: "x".repeat(random(500)), number: Math.random() };
    const { versionstamp } = await timed("set", () => kv.set(["own", index, key], value));
    own.set(key, { value, versionstamp });
  }],
  [6, async () => checkOwn(await timed("get", () => kv.get(["own", index, random(200)])))],
  [2, async () => {
    const keys = Array.from({ length: 10 }, () => ["own", index, random(200)]);
    (await timed("getMany", () => kv.getMany(keys))).forEach(checkOwn);
  }],
  [2, async () => {
    const key = random(200);
    await timed("delete", () => kv.delete(["own", index, key]));
    own.delete(key);
  }],
  [2, async () => {
    const reverse = Math.random() < 0.5;
    const list = kv.list({ prefix: ["own", index] }, { reverse, batchSize: 1 + random(100) });
    const entries = await timed("list", () => Array.fromAsync(list));
    entries.forEach(checkOwn);
    const keys = [...own.keys()].sort((a, b) => reverse ? b - a : a - b);
    expect(JSON.stringify(entries.map(({ key }) => key[2])) === JSON.stringify(keys), "a list misses or repeats keys", keys);
  }],
  [1, async () => expect(await timed("count", () => kv.count({ prefix: ["own", index] })) === own.size, "count")],
  [1, async () => {
    const start = random(200), end = start + random(20);
    const selector = { start: ["own", index, start], end: ["own", index, end] };
    const deleted = await timed("deleteRange", () => kv.deleteRange(selector));
    const gone = [...own.keys()].filter((key) => key >= start && key < end);
    expect(deleted === gone.length, "deleteRange deleted", deleted, "of", gone);
    gone.forEach((key) => own.delete(key));
  }],
  [4, () =>
    timed("increment, by check and set until it succeeds", async () => {
      while (true) {
        const entry = await kv.get<number>(["number"]);
        const result = await kv.atomic().check(entry).set(["number"], (entry.value ?? 0) + 1).commit();
        if (result.ok) break;
        counts.lost++;
      }
      counts.increments++;
    })],
  [4, async () => {
    await commit("sum", kv.atomic().sum(["sum"], 1n));
    counts.sums++;
  }],
  [1, async () => {
    const number = random(1e9);
    await commit("max", kv.atomic().max(["greatest"], BigInt(number)));
    counts.greatest = Math.max(counts.greatest, number);
  }],
  [2, async () => {
    await commit("set of a versionstamped key", kv.atomic().set(["log", index, kv.commitVersionstamp()], 1));
    counts.logged++;
  }],
  [4, async () => {
    const from = random(accounts), to = (from + 1 + random(accounts - 1)) % accounts;
    const entries = await kv.getMany<[number, number]>([["account", from], ["account", to]]);
    const atomic = kv.atomic().check(...entries);
    atomic.set(["account", from], entries[0].value! - 1).set(["account", to], entries[1].value! + 1);
    const result = await timed("move between two accounts", () => atomic.commit());
    if (result.ok) counts.moves++;
    else counts.lost++;
  }],
  [
    2,
    async () =>
      checkAccounts(await timed("list of the accounts", () => Array.fromAsync(kv.list<number>({ prefix: ["account"] })))),
  ],
  [2, async () => {
    const keys = Array.from({ length: accounts }, (_, i) => ["account", i]);
    checkAccounts(await timed("getMany of the accounts", () => kv.getMany<number[]>(keys)));
  }],
  [2, async () => {
    const [delay, now] = [random(2) * random(50), performance.timeOrigin + performance.now()];
    const message = [index, counts.sent, now + delay];
    await commit("enqueue", kv.atomic().enqueue(message, { delay }).sum(["sent"], 1n));
    counts.sent++;
  }],
  [2, async () => {
    const key = ["expiring", index, random(1e9)], begin = Date.now();
    await timed("set with expireIn", () => kv.set(key, 1, { expireIn: 300 }));
    expiring.push({ key, begin, end: Date.now() + 300 });
  }],
  [2, async () => {
    for (const { key, begin, end } of expiring.slice(0, 10)) {
      const before = Date.now();
      const { value } = await timed("get of an expiring entry", () => kv.get(key));
      expect(value === null || before < end, key, "was read after it expired");
      expect(value !== null || Date.now() >= begin + 300, key, "expired too early");
    }
    expiring = expiring.filter(({ end }) => Date.now() < end + 100);
  }],
];
const wheel = operations.flatMap(([weight, operation]) => Array(weight).fill(operation));

const listening = kv.listenQueue(async ([from, number, due]: [number, number, number]) => {
  record("delay of a message", Math.max(0, performance.timeOrigin + performance.now() - due));
  await kv.atomic().sum(["delivered", from, number], 1n).commit();
  counts.received++;
});
let watched = 0;
const watching = (async () => {
  for await (const [{ value }] of kv.watch<[Deno.KvU64]>([["sum"]])) {
    expect(Number(value ?? 0) >= watched, "a watched sum decreased");
    watched = Number(value ?? 0);
    counts.watched++;
  }
})();

const begin = performance.now();
while (performance.now() < begin + seconds * 1000) await wheel[random(wheel.length)]();
const worked = performance.now() - begin;

// Waits for all workers, so that every message finds a listener.
await kv.set(["done", index], counts.sent);
while (true) {
  const done = await Array.fromAsync(kv.list<number>({ prefix: ["done"] }));
  const sent = done.reduce((sum, { value }) => sum + value, 0);
  if (done.length === workers && await kv.count({ prefix: ["delivered"] }) >= sent) break;
  await tick(20);
}
const sum = Number((await kv.get<Deno.KvU64>(["sum"])).value ?? 0);
while (watched < sum) await tick(5);
kv.close();
await Promise.all([listening, watching]);
clearTimeout(watchdog);
console.log(JSON.stringify({ counts, worked, times }));
