// Functions that the harnesses of the documents share.

export { equal, memory, throws } from "../conformance/harness.ts";

const printed: string[] = [];

console.log = (...values: unknown[]) => {
  printed.push(values.map((value) => typeof value === "string" ? value : Deno.inspect(value)).join(" "));
};

/** Returns the lines printed since the last call, formatted as by console.log. */
export function output(): string[] {
  return printed.splice(0);
}

/** Returns the keys and values of a list, in order. */
export async function listed<T>(entries: AsyncIterable<Deno.KvEntry<T>>): Promise<[Deno.KvKey, T][]> {
  const all: [Deno.KvKey, T][] = [];
  for await (const { key, value } of entries) all.push([key, value]);
  return all;
}

/** Returns the keys and values of a database below a prefix, by default all. */
export function contents(kv: Deno.Kv, prefix: Deno.KvKey = []): Promise<[Deno.KvKey, unknown][]> {
  return listed(kv.list({ prefix }));
}

/** Returns whether values are strictly ascending. */
export function ascending(values: readonly string[]): boolean {
  return values.every((value, at) => at === 0 || values[at - 1] < value);
}

/** Waits until a condition holds. The test suite kills a script that waits for too long. */
export async function until(condition: () => Promise<boolean>): Promise<void> {
  while (!await condition()) await new Promise((resolve) => setTimeout(resolve, 5));
}

/** Waits until all earlier writes are stored: commits take effect in the order of their calls. */
export async function stored(kv: Deno.Kv): Promise<void> {
  await kv.delete(["an unused key"]);
}

/** Calls a function after each call of a method, before its caller continues: simulates a concurrent writer. */
export function after(kv: Deno.Kv, method: "get" | "delete", happens: () => Promise<unknown>): void {
  const original = kv[method].bind(kv) as (...values: unknown[]) => Promise<unknown>;
  const changed = async (...values: unknown[]) => {
    const result = await original(...values);
    await happens();
    return result;
  };
  Object.assign(kv, { [method]: changed });
}

/**
 * Divides the `expireIn` of each call of `kv.set` by a million. Returns the original values in milliseconds, to which further calls
 * add.
 */
export function hasten(kv: Deno.Kv): number[] {
  const requested: number[] = [];
  const set = kv.set.bind(kv);
  kv.set = (key, value, options) => {
    if (options?.expireIn === undefined) return set(key, value, options);
    requested.push(options.expireIn);
    return set(key, value, { expireIn: Math.ceil(options.expireIn / 1_000_000) });
  };
  return requested;
}

/** Stops the clock of Date.now. Databases are unaffected. */
export function stopClock(): { now: number } {
  const clock = { now: Date.now() };
  Date.now = () => clock.now;
  return clock;
}
