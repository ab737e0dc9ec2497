// What the harnesses of the documents' blocks share.

export { equal, memory, throws } from "../conformance/harness.ts";

const printed: string[] = [];

console.log = (...values: unknown[]) => {
  printed.push(values.map((value) => typeof value === "string" ? value : Deno.inspect(value)).join(" "));
};

/** The lines printed since the last call, as console.log shows them. */
export function output(): string[] {
  return printed.splice(0);
}

/** The keys and values that a listing yields, in its order. */
export async function listed<T>(entries: AsyncIterable<Deno.KvEntry<T>>): Promise<[Deno.KvKey, T][]> {
  const all: [Deno.KvKey, T][] = [];
  for await (const { key, value } of entries) all.push([key, value]);
  return all;
}

/** The keys and values of a database below a prefix: all, if there is none. */
export function contents(kv: Deno.Kv, prefix: Deno.KvKey = []): Promise<[Deno.KvKey, unknown][]> {
  return listed(kv.list({ prefix }));
}

/** Whether values are in order, with no two the same. */
export function ascending(values: readonly string[]): boolean {
  return values.every((value, at) => at === 0 || values[at - 1] < value);
}

/** Waits until a condition holds. The suite ends a script that waits for too long. */
export async function until(condition: () => Promise<boolean>): Promise<void> {
  while (!await condition()) await new Promise((resolve) => setTimeout(resolve, 5));
}

/** Waits until what was written before is stored: commits are stored in the order of their calls. */
export async function stored(kv: Deno.Kv): Promise<void> {
  await kv.delete(["a key that nobody uses"]);
}

/** Has something happen after each call of a method, before its caller goes on: what a rival does. */
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
 * Makes values expire a million times as soon as `kv.set` is asked to. Answers what it was asked for: the
 * `expireIn` of each call that had one, in milliseconds.
 */
export function hasten(kv: Deno.Kv): number[] {
  const asked: number[] = [];
  const set = kv.set.bind(kv);
  kv.set = (key, value, options) => {
    if (options?.expireIn === undefined) return set(key, value, options);
    asked.push(options.expireIn);
    return set(key, value, { expireIn: Math.ceil(options.expireIn / 1_000_000) });
  };
  return asked;
}

/** Stops the clock that Date.now reads. Databases have their own. */
export function stopClock(): { now: number } {
  const clock = { now: Date.now() };
  Date.now = () => clock.now;
  return clock;
}
