import { primordials } from "ext:core/mod.js";
import type { Key } from "ext:openkv/write.ts";

const { ArrayPrototypeSlice, ObjectFreeze, TypeError } = primordials;

/** Which entries: those below a prefix, those from a start to an end, or both. */
export interface Selector {
  prefix?: Key;
  start?: Key;
  end?: Key;
}

/** Copies a selector, so that changing it later does not change what it selects. */
export function copySelector({ prefix, start, end }: Selector): Selector {
  if (prefix === undefined && (start === undefined || end === undefined)) {
    throw new TypeError("Selector must specify either 'prefix' or both 'start' and 'end' key");
  }
  const copy = (key: Key | undefined) => key && ObjectFreeze(ArrayPrototypeSlice(key));
  return ObjectFreeze({ prefix: copy(prefix), start: copy(start), end: copy(end) });
}

/** Checks the consistency that a read asks for. Here, every read is strongly consistent. */
export function checkConsistency(consistency: unknown): void {
  if (consistency !== undefined && consistency !== null && consistency !== "strong" && consistency !== "eventual") {
    throw new TypeError(`unknown variant \`${consistency}\`, expected \`strong\` or \`eventual\``);
  }
}
