// A test harness that needs nothing but the language: what is tested may not be what tests it.

/** Runs a test. Prints a line for it: "ok", or "not ok" and why. */
export async function test(name: string, body: () => unknown): Promise<void> {
  try {
    await body();
    console.log(`ok ${name}`);
  } catch (error) {
    console.log(`not ok ${name}\n${error instanceof Error ? error.stack : error}`);
    Deno.exitCode = 1;
  }
}

/** Checks that two values look the same to the end of their depth. */
export function equal(actual: unknown, expected: unknown): void {
  const [a, b] = [actual, expected].map((value) => Deno.inspect(value, { depth: 100, strAbbreviateSize: 1e6 }));
  if (a !== b) throw new Error(`${a}\nis not\n${b}`);
}

/** Checks that a call throws an error of a class with a message, or rejects with it. */
export async function throws(body: () => unknown, type: string, message: string): Promise<void> {
  try {
    await body();
  } catch (error) {
    equal([(error as Error).constructor.name, (error as Error).message], [type, message]);
    return;
  }
  throw new Error(`did not throw ${type}: ${message}`);
}

/** An empty database for a test. */
export function memory(): Promise<Deno.Kv> {
  return Deno.openKv(":memory:");
}
