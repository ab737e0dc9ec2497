// A test harness that needs nothing but the language: what is tested may not be what tests it.

/**
 * Where the databases are that a script asks for, "memory" or a "file", or the "reference" that it runs on:
 * `deno run -A --unstable-kv FILE reference`. Or they are those of a server, "remote" or, for another client than ours,
 * "remote-deno" or "remote-node": its URL follows. Then come parts of the names of tests that the backend cannot pass.
 */
const [place = "memory", ...rest] = Deno.args;
const server = place.startsWith("remote") ? rest.shift() : undefined;
const lacking = rest;

/** Whether the scripts run on Deno, or on another client than ours. */
export const onReference = place === "reference" || place.startsWith("remote-");

/** How long a test may take on Deno where it may hang there, in milliseconds. */
const TIMEOUT = 3000;

/** Runs a test. Prints a line for it: "ok", "skipped", or "not ok" and why. */
export async function test(name: string, body: () => unknown): Promise<void> {
  if (isLacking(name)) return console.log(`skipped ${name}`);
  const error = await failure(body);
  if (error === undefined) return console.log(`ok ${name}`);
  console.log(`not ok ${name}\n${error instanceof Error ? error.stack : error}`);
  Deno.exitCode = 1;
}

/**
 * Runs a test of something that Deno does differently, for a reason. There it prints "DIFFERENCE", or "not ok"
 * where it passes: then it is no difference any more. With a server of ours, Deno may pass.
 */
export async function difference(name: string, reason: string, body: () => unknown): Promise<void> {
  if (!onReference || isLacking(name)) return await test(name, body);
  let timer: ReturnType<typeof setTimeout> | undefined;
  const timeout = new Promise((_, reject) => timer = setTimeout(() => reject("it takes too long"), TIMEOUT));
  const error = await failure(() => Promise.race([(async () => await body())(), timeout]));
  clearTimeout(timer);
  if (error !== undefined) return console.log(`DIFFERENCE ${name}: ${reason}`);
  if (server !== undefined) return console.log(`ok ${name}`);
  console.log(`not ok ${name}\nThe reference passes, although: ${reason}`);
  Deno.exitCode = 1;
}

function isLacking(name: string): boolean {
  return lacking.some((part) => name.includes(part));
}

async function failure(body: () => unknown): Promise<unknown> {
  try {
    await body();
  } catch (error) {
    return error ?? "threw nothing";
  }
}

/** Returns a message that errors have here. On Deno, which names types of its implementation, any will do. */
export function plain(message: string): string | undefined {
  return onReference ? undefined : message;
}

/** Checks that two values look the same to the end of their depth. */
export function equal(actual: unknown, expected: unknown): void {
  const options = { depth: 100, strAbbreviateSize: 1e6, iterableLimit: 1e6 };
  const [a, b] = [actual, expected].map((value) => Deno.inspect(value, options));
  if (a !== b) throw new Error(`${a}\nis not\n${b}`);
}

function isError(error: Error, type: string, message = error.message): void {
  // What checks arguments there is another program, whose errors have words of their own.
  if (place === "remote-node") return;
  equal([error.constructor.name, error.message], [type, message]);
}

/** Checks that a call throws an error of a class with a message, or rejects with it. */
export async function throws(body: () => unknown, type: string, message?: string): Promise<void> {
  try {
    await body();
  } catch (error) {
    isError(error as Error, type, message);
    return;
  }
  throw new Error(`did not throw ${type}: ${message}`);
}

/** Checks that a call throws immediately, without a promise. */
export function throwsAtOnce(body: () => unknown, type: string, message?: string): void {
  let returned: unknown;
  try {
    returned = body();
  } catch (error) {
    isError(error as Error, type, message);
    return;
  }
  if (returned instanceof Promise) returned.catch(() => {});
  throw new Error(`did not throw immediately ${type}: ${message}`);
}

/** Checks that a call answers a promise, which rejects with an error of a class with a message. */
export async function rejects(body: () => unknown, type: string, message?: string): Promise<void> {
  const promise = body();
  if (!(promise instanceof Promise)) throw new Error("is no promise");
  await throws(() => promise, type, message);
}

/** Waits. */
export function sleep(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}

const directory = Deno.cwd();
let opened = 0;

/**
 * An empty database for a test: in memory, if it is not the files that are tested. A server has one for each number, and no two
 * scripts use the same server.
 */
export function memory(): Promise<Deno.Kv> {
  if (server !== undefined) return Deno.openKv(`${server}/${opened++}`);
  return Deno.openKv(place === "file" ? `${directory}/${opened++}.sqlite3` : ":memory:");
}
