// A test harness that uses the language only, so that it does not depend on the APIs that it tests.

/**
 * Whether databases are in "memory" or in a "file"; or "deno", if the script runs on Deno:
 * `deno run -A --unstable-kv FILE deno`. Followed by parts of the names of tests that the backend cannot pass.
 */
const [place = "memory", ...lacking] = Deno.args;

/** Whether the scripts run on Deno. */
export const onDeno = place === "deno";

/** The timeout of a difference, which may hang on Deno, in milliseconds. */
const TIMEOUT = 3000;

/** Runs a test. Prints a line for it: "ok", "skipped", or "not ok" and the error. */
export async function test(name: string, body: () => unknown): Promise<void> {
  if (lacking.some((part) => name.includes(part))) return console.log(`skipped ${name}`);
  const error = await failure(body);
  if (error === undefined) return console.log(`ok ${name}`);
  console.log(`not ok ${name}\n${error instanceof Error ? error.stack : error}`);
  Deno.exitCode = 1;
}

/**
 * Runs a test of behaviour that differs from Deno's. On Deno, it prints "DIFFERENCE" and the reason, or "not ok" if the test
 * passes, as it is then no longer a difference.
 */
export async function difference(name: string, reason: string, body: () => unknown): Promise<void> {
  if (!onDeno) return await test(name, body);
  let timer: ReturnType<typeof setTimeout> | undefined;
  const timeout = new Promise((_, reject) => timer = setTimeout(() => reject("timed out"), TIMEOUT));
  const error = await failure(() => Promise.race([(async () => await body())(), timeout]));
  clearTimeout(timer);
  if (error !== undefined) return console.log(`DIFFERENCE ${name}: ${reason}`);
  console.log(`not ok ${name}\nDeno passes, although: ${reason}`);
  Deno.exitCode = 1;
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
let files = 0;

/** Opens an empty database for a test: in memory, unless files are tested. */
export function memory(): Promise<Deno.Kv> {
  return Deno.openKv(place === "file" ? `${directory}/${files++}.sqlite3` : ":memory:");
}
