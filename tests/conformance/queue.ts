import { difference, equal, memory, rejects, sleep, test, throwsSync } from "./harness.ts";

/** Longer than the random delay of Deno before a delivery: no message arrives after it. */
const QUIET = 150;

/** Waits until a condition holds. */
async function until(condition: () => unknown): Promise<void> {
  const start = performance.now();
  while (!await condition()) {
    if (performance.now() - start > 30_000) throw new Error(`timed out waiting for ${condition}`);
    await sleep(2);
  }
}

/** Checks that a number is at least `low`, and below `high`. */
function between(actual: number, low: number, high: number): void {
  if (!(actual >= low && actual < high)) throw new Error(`${actual} is not in ${low}..${high}`);
}

/** Listens to a database. Returns the array that received messages are added to. */
function inbox(kv: Deno.Kv): unknown[] {
  const messages: unknown[] = [];
  kv.listenQueue((message) => void messages.push(message));
  return messages;
}

await test("enqueue returns the versionstamp of its commit", async () => {
  using kv = await memory();
  const before = await kv.set(["a"], 1);
  const result = await kv.enqueue("message");
  equal(Object.keys(result), ["ok", "versionstamp"]);
  equal([result.ok, /^[0-9a-f]{20}$/.test(result.versionstamp)], [true, true]);
  equal(result.versionstamp > before.versionstamp, true);
  equal((await kv.atomic().enqueue("message").commit()).ok, true);
});

await test("a listener receives every kind of value", async () => {
  using kv = await memory();
  const messages = inbox(kv);
  const values = [
    "text", "", 1, -0, true, 1n, null, undefined, new Date(0), /a/g, [1, [2]], { a: { b: 1 } }, new Uint8Array([1, 2]),
    new Map([[1, { a: 2 }]]), new Set(["a"]), new ArrayBuffer(2), [null, undefined],
  ];
  for (const value of values) {
    messages.length = 0;
    await kv.enqueue(value);
    await until(() => messages.length);
    equal(messages, [value]);
  }
});

await test("a KvU64 is received as a plain object", async () => {
  using kv = await memory();
  const messages = inbox(kv);
  await kv.enqueue(new Deno.KvU64(5n));
  await until(() => messages.length);
  equal(messages, [{ value: 5n }]);
});

await test("a handler receives the message only", async () => {
  using kv = await memory();
  let args: unknown[] | undefined;
  kv.listenQueue((...all: unknown[]) => void (args = all));
  await kv.enqueue("message");
  await until(() => args);
  equal(args, ["message"]);
});

await test("a message is copied when it is enqueued", async () => {
  using kv = await memory();
  const messages = inbox(kv);
  const message = { a: 1 };
  const enqueued = kv.enqueue(message);
  message.a = 2;
  await enqueued;
  await until(() => messages.length);
  const operation = kv.atomic().enqueue(message);
  message.a = 3;
  await operation.commit();
  await until(() => messages.length === 2);
  equal(messages, [{ a: 1 }, { a: 2 }]);
});

await difference(
  "messages are delivered in the order they were enqueued",
  "Deno waits a random delay of up to 100 ms before each delivery",
  async () => {
    using kv = await memory();
    const messages = inbox(kv);
    for (let i = 0; i < 20; i++) await kv.enqueue(i);
    const atomic = kv.atomic();
    for (let i = 20; i < 40; i++) atomic.enqueue(i);
    await atomic.commit();
    await until(() => messages.length === 40);
    equal(messages, Array.from({ length: 40 }, (_, i) => i));
  },
);

await difference(
  "a ready message is delivered immediately",
  "Deno waits a random delay of up to 100 ms before each delivery",
  async () => {
    using kv = await memory();
    let deliver = () => {};
    kv.listenQueue(() => deliver());
    const start = performance.now();
    for (let i = 0; i < 100; i++) {
      const delivered = new Promise<void>((resolve) => deliver = resolve);
      await kv.enqueue(i);
      await delivered;
      between(performance.now() - start, 0, 3000);
    }
  },
);

await test("a delay postpones a message", async () => {
  using kv = await memory();
  const messages = inbox(kv);
  const start = performance.now();
  await kv.enqueue("late", { delay: 300 });
  await kv.atomic().enqueue("later", { delay: 600 }).enqueue("now", { delay: 0 }).commit();
  await until(() => messages.length);
  equal(messages, ["now"]);
  await until(() => messages.length === 2);
  between(performance.now() - start, 290, 10000);
  await until(() => messages.length === 3);
  between(performance.now() - start, 590, 10000);
  equal(messages, ["now", "late", "later"]);
});

await test("a message of an operation is delivered only after its commit", async () => {
  using kv = await memory();
  const messages = inbox(kv);
  kv.atomic().enqueue("not committed");
  const stale = { key: ["a"], versionstamp: "00000000000000010000" };
  equal(await kv.atomic().check(stale).enqueue("no").commit(), { ok: false });
  equal((await kv.atomic().check({ key: ["a"], versionstamp: null }).set(["a"], 1).enqueue("yes").commit()).ok, true);
  await until(() => messages.length);
  await sleep(QUIET);
  equal(messages, ["yes"]);
  equal((await kv.get(["a"])).value, 1);
});

await test("a handler may enqueue", async () => {
  using kv = await memory();
  const messages: number[] = [];
  kv.listenQueue(async (message) => {
    messages.push(message);
    if (message > 0) await kv.enqueue(message - 1);
  });
  await kv.enqueue(3);
  await until(() => messages.length === 4);
  equal(messages, [3, 2, 1, 0]);
});

await test("messages wait for a listener", async () => {
  using kv = await memory();
  for (let i = 0; i < 5; i++) await kv.enqueue(i);
  const messages = inbox(kv);
  await until(() => messages.length === 5);
  equal(messages.toSorted(), [0, 1, 2, 3, 4]);
});

await test("each message goes to one of several listeners", async () => {
  using kv = await memory();
  const inboxes = [inbox(kv), inbox(kv), inbox(kv)];
  for (let i = 10; i < 40; i++) await kv.enqueue(i);
  await until(() => inboxes.flat().length >= 30);
  await sleep(QUIET);
  equal(inboxes.flat().toSorted(), Array.from({ length: 30 }, (_, i) => i + 10));
});

await test("databases in memory do not share messages", async () => {
  using a = await memory();
  using b = await memory();
  const inboxes = [inbox(a), inbox(b)];
  await b.enqueue("b");
  await until(() => inboxes[1].length);
  await sleep(QUIET);
  equal(inboxes, [[], ["b"]]);
});

const failures: [string, () => unknown][] = [
  ["throws", () => {
    throw new Error("expected: a handler throws");
  }],
  ["rejects", () => Promise.reject("expected: a handler rejects")],
];
for (const [how, fail] of failures) {
  await test(`a handler that ${how} is called again by the schedule, then the message is stored under the keys`, async () => {
    using kv = await memory();
    const times: number[] = [];
    const messages: unknown[] = [];
    kv.listenQueue((message) => {
      messages.push(message);
      times.push(performance.now());
      return fail() as Promise<void>;
    });
    const options = { backoffSchedule: [20, 250], keysIfUndelivered: [["dead"], ["dead", 2]] };
    await kv.enqueue({ a: 1 }, options);
    await until(async () => (await kv.get(["dead"])).versionstamp);
    equal(messages, Array(3).fill({ a: 1 }));
    between(times[1] - times[0], 15, 1000);
    between(times[2] - times[1], 240, 2000);
    const entries = await kv.getMany([["dead"], ["dead", 2]]);
    const versionstamp = entries[0].versionstamp!;
    equal(/^[0-9a-f]{20}$/.test(versionstamp), true);
    equal(entries, options.keysIfUndelivered.map((key) => ({ key, value: { a: 1 }, versionstamp })));
    await sleep(QUIET);
    equal(times.length, 3);
  });
}

await test("an undelivered message of an operation is stored, with its type", async () => {
  using kv = await memory();
  kv.listenQueue(() => Promise.reject("expected: undelivered"));
  const payload = new Uint8Array([1, 2]);
  await kv.atomic().enqueue(payload, { backoffSchedule: [], keysIfUndelivered: [["dead", 1n]] }).commit();
  await until(async () => (await kv.get(["dead", 1n])).versionstamp);
  equal((await kv.get(["dead", 1n])).value, payload);
});

await test("an undelivered message without keys is dropped", async () => {
  using kv = await memory();
  let tries = 0;
  kv.listenQueue(() => {
    tries++;
    throw new Error("expected: dropped");
  });
  await kv.enqueue("message", { backoffSchedule: [] });
  await until(() => tries);
  await sleep(QUIET);
  equal([tries, await Array.fromAsync(kv.list({ prefix: [] }))], [1, []]);
});

await test("a delivered message writes no keys", async () => {
  using kv = await memory();
  const messages = inbox(kv);
  await kv.enqueue("message", { backoffSchedule: [1], keysIfUndelivered: [["dead"]] });
  await until(() => messages.length);
  await sleep(QUIET);
  equal([messages, (await kv.get(["dead"])).versionstamp], [["message"], null]);
});

await test("without a schedule a message is retried after a default interval", async () => {
  using kv = await memory();
  const times: number[] = [];
  kv.listenQueue(() => {
    times.push(performance.now());
    if (times.length === 1) throw new Error("expected: retried");
  });
  await kv.enqueue("message");
  await until(() => times.length === 2);
  between(times[1] - times[0], 90, 1000);
  await sleep(QUIET);
  equal(times.length, 2);
});

await test("a failing message does not delay others", async () => {
  using kv = await memory();
  const messages: unknown[] = [];
  kv.listenQueue((message) => {
    if (message === "bad") throw new Error("expected: others are not delayed");
    messages.push(message);
  });
  await kv.enqueue("bad", { backoffSchedule: [10000] });
  await kv.enqueue("good");
  await until(() => messages.length);
  equal(messages, ["good"]);
});

await test("a hundred handlers run at the same time", async () => {
  using kv = await memory();
  const { promise: released, resolve: release } = Promise.withResolvers<void>();
  const messages: unknown[] = [];
  let running = 0;
  kv.listenQueue(async (message) => {
    running++;
    await released;
    running--;
    messages.push(message);
  });
  const atomic = kv.atomic();
  for (let i = 100; i < 250; i++) atomic.enqueue(i);
  await atomic.commit();
  try {
    await until(() => running >= 100);
  } finally {
    release();
  }
  await until(() => messages.length >= 150 && running === 0);
  equal(messages.toSorted(), Array.from({ length: 150 }, (_, i) => i + 100));
});

await test("listenQueue resolves when the database is closed", async () => {
  const kv = await memory();
  const listening = [kv.listenQueue(() => {}), kv.listenQueue(() => {})];
  equal(listening.map((promise) => promise instanceof Promise), [true, true]);
  kv.close();
  equal(await Promise.all(listening), [undefined, undefined]);
});

await test("listenQueue resolves when a handler closes the database", async () => {
  const kv = await memory();
  const listening = kv.listenQueue(() => kv.close());
  await kv.enqueue("message");
  equal(await listening, undefined);
});

await test("a handler that throws a value that cannot be displayed is called again", async () => {
  using kv = await memory();
  const thrown = [Object.create(null), Object.defineProperty(new Error(), "stack", { get: () => { throw 0; } })];
  let calls = 0;
  kv.listenQueue(() => {
    if (calls < thrown.length) throw thrown[calls++];
    calls++;
  });
  await kv.enqueue("message", { backoffSchedule: [0, 0] });
  await until(() => calls === 3);
});

await test("listenQueue resolves when the database is closed, even if handlers never finish", async () => {
  const kv = await memory();
  let started = 0;
  const listening = kv.listenQueue(() => {
    started++;
    return new Promise(() => {});
  });
  await kv.atomic().enqueue(1).enqueue(2).commit();
  await until(() => started === 2);
  kv.close();
  equal(await listening, undefined);
});

await test("a closed database has no queue", async () => {
  const kv = await memory();
  kv.close();
  await rejects(() => kv.listenQueue(() => {}), "Error", "Queue already closed");
  await rejects(() => kv.enqueue("message"), "BadResource", "Bad resource ID");
  await rejects(() => kv.atomic().enqueue("message").commit(), "BadResource", "Bad resource ID");
  const listened = await memory();
  listened.listenQueue(() => {});
  listened.close();
  await rejects(() => listened.listenQueue(() => {}), "Error", "Queue already closed");
});

await test("invalid options of enqueue are rejected", async () => {
  using kv = await memory();
  const month = 30 * 24 * 3600 * 1000;
  const wrong: [{ delay?: number; backoffSchedule?: number[] }, string][] = [
    [{ delay: -1 }, "Delay must be >= 0: received -1"],
    [{ delay: NaN }, "Delay cannot be NaN"],
    [{ delay: month + 1 }, `Delay cannot be greater than 30 days: received ${month + 1}`],
    [{ backoffSchedule: [1, 2, 3, 4, 5, 6] }, "Invalid backoffSchedule, max 5 intervals allowed"],
    [{ backoffSchedule: [0, 3600001] }, "Invalid backoffSchedule, interval at index 1 is invalid"],
    [{ backoffSchedule: [-1] }, "Invalid backoffSchedule, interval at index 0 is invalid"],
    [{ backoffSchedule: [NaN] }, "Invalid backoffSchedule, interval at index 0 is invalid"],
  ];
  for (const [options, message] of wrong) {
    await rejects(() => kv.enqueue("message", options), "TypeError", message);
    throwsSync(() => kv.atomic().enqueue("message", options), "TypeError", message);
  }
  equal((await kv.enqueue("message", { delay: month, backoffSchedule: [0, 1, 2, 3, 3600000] })).ok, true);
});

await test("values that cannot be stored are rejected as messages", async () => {
  using kv = await memory();
  await rejects(() => kv.enqueue(() => {}), "TypeError", "()=>{} could not be cloned.");
  await rejects(() => kv.enqueue("x".repeat(70000)), "TypeError", "enqueue payload too large (max 65536 bytes)");
});

await test("delays may be bigints", async () => {
  using kv = await memory();
  const messages = inbox(kv);
  await kv.enqueue("message", { delay: 1n, backoffSchedule: [1n] } as unknown as { delay: number });
  await until(() => messages.length);
  equal(messages, ["message"]);
});

await test("any number of handlers may wait for each other", async () => {
  using kv = await memory();
  const count = 1500;
  const waiting = new Map<number, () => void>();
  let parents = 0;
  kv.listenQueue(async ({ kind, id }: { kind: string; id: number }) => {
    if (kind === "child") return waiting.get(id)!();
    await new Promise<void>((resolve) => waiting.set(id, resolve));
    parents++;
  });
  await Promise.all(Array.from({ length: count }, (_, id) => kv.enqueue({ kind: "parent", id })));
  await until(() => waiting.size === count);
  await Promise.all(Array.from({ length: count }, (_, id) => kv.enqueue({ kind: "child", id })));
  await until(() => parents === count);
});

const unusualErrors: [name: string, make: () => unknown][] = [
  ["an object without a prototype", () => Object.create(null)],
  ["an error whose message throws", () => Object.defineProperty(new Error(), "message", { get: () => { throw 1; } })],
  ["an error whose stack throws", () => Object.defineProperty(new Error(), "stack", { get: () => { throw 1; } })],
];

for (const [name, make] of unusualErrors) {
  await test(`the queue continues after a handler throws ${name}`, async () => {
    using kv = await memory();
    const messages: unknown[] = [];
    kv.listenQueue((message) => {
      messages.push(message);
      if (message === 1) throw make();
    });
    await kv.enqueue(1, { backoffSchedule: [] });
    await until(() => messages.length === 1);
    await kv.enqueue(2);
    await until(() => messages.length === 2);
  });
}
