// Measures how many operations run per second.

/** How long a measure is warmed up and then timed, in milliseconds. */
const WARM_UP = 200;
const TIMED = 700;

/** A number of operations, and the time they took. */
export interface Rate {
  operations: number;
  milliseconds: number;
}

/**
 * Repeats a step to warm up, and then times it. A step counts as a number of operations, and is long enough that the overhead of
 * timing is negligible. Its preparation is not timed.
 */
export async function repeat<Prepared = void>(
  operations: number,
  step: (step: number, prepared: Prepared) => Promise<void>,
  prepare?: () => Promise<Prepared>,
): Promise<Rate> {
  let steps = 0;
  const run = async (enough: number) => {
    const first = steps;
    let milliseconds = 0;
    while (milliseconds < enough) {
      const prepared = await prepare?.() as Prepared;
      const start = performance.now();
      await step(steps++, prepared);
      milliseconds += performance.now() - start;
    }
    return { operations: (steps - first) * operations, milliseconds };
  };
  await run(WARM_UP);
  return await run(TIMED);
}

/** Returns some of the keys: the next ones in each step, cyclically. */
export function some<Key>(keys: Key[], count: number, step: number): Key[] {
  const first = step * count % (keys.length - count);
  return keys.slice(first, first + count);
}

/** Checks a result of the measured operation. */
export function expect(condition: boolean): void {
  if (!condition) throw new Error("the measured operation returned a wrong result");
}
