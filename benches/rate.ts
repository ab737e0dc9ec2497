// How often something can be done in a second.

/** How long a measure is warmed up and then timed, in milliseconds. */
const WARM_UP = 200;
const TIMED = 700;

/** How many operations took how long. */
export interface Rate {
  operations: number;
  milliseconds: number;
}

/**
 * Takes steps until they are warm, and then times them. A step counts as so many operations, and is long enough that its
 * timing does not matter. What has to be prepared for a step is not timed.
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

/** Some of the keys: the next ones in each step, around and around. */
export function some<Key>(keys: Key[], count: number, step: number): Key[] {
  const first = step * count % (keys.length - count);
  return keys.slice(first, first + count);
}

/** Checks that what is measured does what it is measured for. */
export function expect(condition: boolean): void {
  if (!condition) throw new Error("a measure did not do what it is to measure");
}
