// A test harness that uses the language only, so that it does not depend on the APIs that it tests.

/**
 * Whether databases are in "memory" or in a "file"; or "deno", if the script runs on Deno:
 * `deno run -A --unstable-kv FILE deno`. Or they are those of a server, "remote" or, for a client other than ours,
 * "remote-deno" or "remote-node", followed by its URL. Followed by parts of the names of tests that the backend cannot pass.
 */
const [place = "memory", ...rest] = Deno.args;
const server = place.startsWith("remote") ? rest.shift() : undefined;
const lacking = rest;

/** Whether the scripts run on Deno, or on another client than ours. */
export const onDeno = place === "deno" || place.startsWith("remote-");

/** The timeout of a difference, which may hang on Deno, in milliseconds. */
const TIMEOUT = 3000;

/** Runs a test. Prints a line for it: "ok", "skipped", or "not ok" and the error. */
export async function test(name: string, body: () => unknown): Promise<void> {
  if (isLacking(name)) return console.log(`skipped ${name}`);
  const error = await failure(body);
  if (error === undefined) return console.log(`ok ${name}`);
  console.log(`not ok ${name}\n${error instanceof Error ? error.stack : error}`);
  Deno.exitCode = 1;
}

/**
 * Runs a test of behaviour that differs from Deno's. On Deno, it prints "DIFFERENCE" and the reason, or "not ok" if the test
 * passes, as it is then no longer a difference. With a server of ours, Deno may pass.
 */
export async function difference(name: string, reason: string, body: () => unknown): Promise<void> {
  if (!onDeno || isLacking(name)) return await test(name, body);
  let timer: ReturnType<typeof setTimeout> | undefined;
  const timeout = new Promise((_, reject) => timer = setTimeout(() => reject("timed out"), TIMEOUT));
  const error = await failure(() => Promise.race([(async () => await body())(), timeout]));
  clearTimeout(timer);
  if (error !== undefined) return console.log(`DIFFERENCE ${name}: ${reason}`);
  if (server !== undefined) return console.log(`ok ${name}`);
  console.log(`not ok ${name}\nDeno passes, although: ${reason}`);
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

/** Returns the message of an error, or undefined for any message on Deno, which names types of its implementation. */
export function plain(message: string): string | undefined {
  return onDeno ? undefined : message;
}

/** Checks that two values are inspected as the same text, at any depth. */
export function equal(actual: unknown, expected: unknown): void {
  const options = { depth: 100, strAbbreviateSize: 1e6, iterableLimit: 1e6 };
  const [a, b] = [actual, expected].map((value) => Deno.inspect(value, options));
  if (a !== b) throw new Error(`${a}\ndiffers from\n${b}`);
}

function isError(error: Error, type: string, message = error.message): void {
  // What checks arguments there is another program, whose errors have words of their own.
  if (place === "remote-node") return;
  equal([error.constructor.name, error.message], [type, message]);
}

/** Checks that a call throws or rejects with an error of a class, and a message. */
export async function throws(body: () => unknown, type: string, message?: string): Promise<void> {
  try {
    await body();
  } catch (error) {
    isError(error as Error, type, message);
    return;
  }
  throw new Error(`did not throw ${type}: ${message}`);
}

/** Checks that a call throws synchronously. */
export function throwsSync(body: () => unknown, type: string, message?: string): void {
  let returned: unknown;
  try {
    returned = body();
  } catch (error) {
    isError(error as Error, type, message);
    return;
  }
  if (returned instanceof Promise) returned.catch(() => {});
  throw new Error(`did not throw ${type} synchronously: ${message}`);
}

/** Checks that a call returns a promise, which rejects with an error of a class, and a message. */
export async function rejects(body: () => unknown, type: string, message?: string): Promise<void> {
  const promise = body();
  if (!(promise instanceof Promise)) throw new Error("not a promise");
  await throws(() => promise, type, message);
}

/** Waits for a number of milliseconds. */
export function sleep(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}

const directory = Deno.cwd();
let opened = 0;

/**
 * Opens an empty database for a test: in memory, unless files are tested. A server has one for each number, and no two scripts
 * use the same server.
 */
export function memory(): Promise<Deno.Kv> {
  if (server !== undefined) return Deno.openKv(`${server}/${opened++}`);
  return Deno.openKv(place === "file" ? `${directory}/${opened++}.sqlite3` : ":memory:");
}
