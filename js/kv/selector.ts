import { primordials } from "ext:core/mod.js";
import { op_openkv_reject_consistency } from "ext:core/ops";
import type { Key } from "ext:openkv/write.ts";

const { ArrayPrototypeSlice, ObjectFreeze, ObjectHasOwn, TypeError } = primordials;

/** A range of entries: those with a prefix, those from a start to an end, or both. */
export interface Selector {
  prefix?: Key;
  start?: Key;
  end?: Key;
}

/** Copies a selector, so that changing it later does not change what it selects. */
export function copySelector(selector: Selector): Selector {
  const { prefix, start, end } = own(selector);
  if (prefix === undefined && (start === undefined || end === undefined)) {
    throw new TypeError("Selector must specify either 'prefix' or both 'start' and 'end' key");
  }
  const copy = (key: Key | undefined) => key === undefined ? undefined : ObjectFreeze(ArrayPrototypeSlice(key));
  return ObjectFreeze({ prefix: copy(prefix), start: copy(start), end: copy(end) });
}

/** Returns the own properties of a selector, without inherited ones. */
function own(selector: Selector): Selector {
  const read = (name: keyof Selector) => ObjectHasOwn(selector, name) ? selector[name] : undefined;
  return { prefix: read("prefix"), start: read("start"), end: read("end") };
}

/** Returns whether a read may be stale. Throws for an unknown consistency level. */
export function isEventual(consistency: unknown): boolean {
  if (consistency === "eventual") return true;
  if (consistency !== undefined && consistency !== null && consistency !== "strong") {
    op_openkv_reject_consistency(consistency);
  }
  return false;
}
