// A call that throws has no effect, neither on later commits nor on the database. Code of the script runs within calls: getters of
// keys and values, proxies, conversions of objects.
// deno-lint-ignore-file no-explicit-any
import { difference, equal, memory, onDeno, test } from "./harness.ts";

class Mine extends Error {}

function boom(): never {
  throw new Mine("mine");
}

/** Returns a key with a getter as the part at an index. */
function tricky(index: number, run: () => unknown, key: unknown[] = ["a", "b", "c"]): any {
  return Object.defineProperty([...key], index, { get: run });
}

const revoked = () => {
  const { proxy, revoke } = Proxy.revocable([], {});
  revoke();
  return proxy as any;
};

/** Calls that throw, or reject, on a database. */
const calls: Record<string, (kv: Deno.Kv) => unknown> = {
  "set of a key whose first part throws": (kv) => kv.set(tricky(0, boom), 1),
  "set of a key whose last part throws": (kv) => kv.set(tricky(2, boom), 1),
  "set of a value that throws": (kv) => kv.set(["a"], { get b() { return boom(); } }),
  "set of a function": (kv) => kv.set(["a"], () => 1),
  "set of a revoked proxy": (kv) => kv.set(["a"], revoked()),
  "set at a revoked proxy": (kv) => kv.set(revoked(), 1),
  "set at a symbol": (kv) => kv.set([Symbol("s")] as any, 1),
  "set at no key": (kv) => kv.set(null as any, 1),
  "set of a forged KvU64": (kv) => kv.set(["a"], Object.create(Deno.KvU64.prototype)),
  "set of shared bytes": (kv) => kv.set(["a"], new Uint8Array(new SharedArrayBuffer(1))),
  "set with options that throw": (kv) => kv.set(["a"], 1, { get expireIn() { return boom(); } }),
  "set that expires too late": (kv) => kv.set(["a"], 1, { expireIn: 1e17 }),
  "delete of a key that throws": (kv) => kv.delete(tricky(1, boom)),
  "delete of no key": (kv) => kv.delete(undefined as any),
  "enqueue of a value that throws": (kv) => kv.enqueue({ get b() { return boom(); } }),
  "enqueue with keys that throw": (kv) => kv.enqueue(1, { keysIfUndelivered: [["a"], tricky(1, boom)] }),
  "enqueue with options that throw": (kv) => kv.enqueue(1, { delay: 1, get backoffSchedule() { return boom(); } }),
};
for (const [name, call] of Object.entries(calls)) {
  await test(`${name} has no effect, and the next call succeeds`, async () => {
    using kv = await memory();
    for (const next of [() => kv.set(["next"], 1), () => kv.enqueue("next"), () => kv.atomic().set(["next"], 1).commit()]) {
      const error = await Promise.try(() => call(kv)).catch((error) => error);
      equal(error instanceof Error, true);
      equal((await next() as any).ok, true);
      equal((await Array.fromAsync(kv.list({ prefix: [] }))).every((entry) => entry.key[0] === "next"), true);
      await kv.delete(["next"]);
    }
    const messages: unknown[] = [];
    const listening = kv.listenQueue((message) => {
      messages.push(message);
      kv.close();
    });
    await listening;
    equal(messages, ["next"]);
  });
}

/** Calls on an operation that throw. On Deno, some throw only when it is committed, or keep a part. */
const steps: Record<string, (operation: Deno.AtomicOperation) => unknown> = {
  "set of a key that throws": (operation) => operation.set(tricky(0, boom), 1),
  "delete of a key that throws": (operation) => operation.delete(tricky(0, boom)),
  "sum of a key that throws": (operation) => operation.sum(tricky(0, boom), 1n),
  "a mutation after which one throws": (operation) =>
    operation.mutate({ type: "set", key: ["part"], value: 1 }, { type: "delete", key: tricky(0, boom) }),
  "a mutation after which one has no type": (operation) =>
    operation.mutate({ type: "set", key: ["part"], value: 1 }, { type: "none", key: ["a"] } as any),
  "a mutation after which one has no value": (operation) =>
    operation.mutate({ type: "delete", key: ["old"] }, { type: "set", key: ["a"] } as any),
  "a check after which one throws": (operation) =>
    operation.check({ key: ["old"], versionstamp: null }, { get key() { return boom(); }, versionstamp: null }),
};
for (const [name, step] of Object.entries(steps)) {
  await difference(`${name} has no effect on its operation`, "Deno throws later, or keeps a part", async () => {
    using kv = await memory();
    await kv.set(["old"], 1);
    const operation = kv.atomic().set(["before"], 1);
    const error = await Promise.try(() => step(operation)).catch((error) => error);
    equal(error instanceof Error, true);
    equal((await operation.set(["after"], 1).commit()).ok, true);
    equal((await Array.fromAsync(kv.list({ prefix: [] }))).map((entry) => entry.key[0]), ["after", "before", "old"]);
  });
}

await test("a call may write while another reads its key or its value", async () => {
  using kv = await memory();
  const inner: Promise<unknown>[] = [];
  const write = (value: number) => () => {
    inner.push(kv.set(["inner", value], value), kv.delete(["none"]), kv.enqueue(value));
    return "x";
  };
  await kv.set(tricky(1, write(1)), 1);
  await kv.set(["value"], { get b() { return write(2)(); } });
  await kv.delete(tricky(0, write(3)));
  await kv.enqueue(1, { keysIfUndelivered: [tricky(0, write(4))] });
  await Promise.all(inner);
  const keys = (await Array.fromAsync(kv.list({ prefix: ["inner"] }))).map((entry) => entry.key[1]);
  equal([...new Set(keys)], [1, 2, 3, 4]);
  equal((await kv.get(["value"])).value, { b: "x" });
  equal((await kv.get(["a", "x", "c"])).value, 1);
});

// Deno reads keys when the operation is committed.
if (!onDeno) {
  await test("a getter may add to the operation that reads it", async () => {
    using kv = await memory();
    const operation = kv.atomic();
    const more = (name: string) => () => {
      operation.set(["more", name], 1);
      return "x";
    };
    operation.set(tricky(0, more("set")), 1);
    operation.mutate({ type: "set", key: ["a"], value: 1 }, { type: "set", key: tricky(0, more("mutate")), value: 2 });
    await operation.commit();
    const keys = (await Array.fromAsync(kv.list({ prefix: [] }))).map((entry) => entry.key.join());
    equal(keys, ["a", "more,mutate", "more,set", "x,b,c"]);
    equal((await kv.get(["x", "b", "c"])).value, 2);
  });
}
