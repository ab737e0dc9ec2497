// What the scripts of the benchmark of scale share.
import type { Rate } from "../rate.ts";

/** Times an action that counts as a number of operations. */
export async function time(operations: number, action: () => Promise<unknown>): Promise<Rate> {
  const start = performance.now();
  await action();
  return { operations, milliseconds: performance.now() - start };
}

export function perSecond({ operations, milliseconds }: Rate): number {
  return operations / milliseconds * 1000;
}

export function mebibytes(bytes: number): number {
  return bytes / 2 ** 20;
}
