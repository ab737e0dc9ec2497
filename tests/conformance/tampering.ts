// Scripts that modify built-ins do not affect the API.

import { equal, test } from "./harness.ts";

/** Replaces a property while a function runs. */
async function replacing<T>(object: object, key: PropertyKey, value: unknown, body: () => Promise<T>): Promise<T> {
  const before = Object.getOwnPropertyDescriptor(object, key)!;
  Object.defineProperty(object, key, { ...before, value });
  try {
    return await body();
  } finally {
    Object.defineProperty(object, key, before);
  }
}

const fail = () => {
  throw new Error("tampered");
};

// Must come first: some initialization happens in the first call of openKv only.
await test("a database opens while arrays cannot be iterated", async () => {
  const value = await replacing(Array.prototype, Symbol.iterator, fail, async () => {
    const kv = await Deno.openKv(":memory:");
    await kv.set(["a"], 1);
    const { value } = await kv.get(["a"]);
    kv.close();
    return value;
  });
  equal(value, 1);
});

await test("permissions throw the original TypeError", async () => {
  const { TypeError } = globalThis;
  const caught = await replacing(globalThis, "TypeError", class extends Error {}, async () => {
    const errors: unknown[] = [];
    // deno-lint-ignore no-explicit-any
    const { permissions, Permissions, PermissionStatus } = Deno as any;
    for (const call of [() => permissions.query({ name: "x" }), () => new Permissions(), () => new PermissionStatus()]) {
      try {
        await call();
      } catch (error) {
        errors.push(error);
      }
    }
    return errors;
  });
  equal(caught.map((error) => (error as Error).constructor === TypeError), [true, true, true]);
});
