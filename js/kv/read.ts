import { primordials } from "ext:core/mod.js";
import {
  op_openkv_expiries,
  op_openkv_found,
  op_openkv_get_many,
  op_openkv_wait,
  op_openkv_yield,
  op_openkv_yield_is_due,
} from "ext:core/ops";
import type { Key } from "ext:openkv/write.ts";

const { ArrayPrototypeMap } = primordials;

/** An entry, or the absence of one. */
export type Entry = { key: Key; value: unknown; versionstamp: string | null };
/** When an entry expires: the versionstamp is null if there is none, the time if it does not. */
export type Expiry = { key: Key; versionstamp: string | null; expiresAt: number | null };
/** An entry as the ops return it. */
export type Found = [Key, unknown, string] | null;

/**
 * Waits for a read that an op has passed to another thread, or, where the read is done, yields to the event loop.
 *
 * Callers check first that one of them is needed, which is rare: an unnecessary `await` is slower than the check.
 */
export async function afterYield<T>(found: T | undefined): Promise<T> {
  if (found === undefined) return op_openkv_found(await op_openkv_wait()) as T;
  await op_openkv_yield();
  return found;
}

/** Reads several keys in one snapshot. */
export async function readMany(rid: number, keys: Key[], eventual: boolean): Promise<Entry[]> {
  const requested = copyKeys(keys);
  const found: Found[] | undefined = op_openkv_get_many(rid, requested, eventual);
  const entries = found === undefined || op_openkv_yield_is_due() ? await afterYield(found) : found;
  return entriesOf(requested, entries);
}

/** Reads when the entries of keys expire, in one snapshot. */
export async function readExpiries(rid: number, keys: Key[]): Promise<Expiry[]> {
  const requested = copyKeys(keys);
  const found = await op_openkv_expiries(rid, requested);
  return ArrayPrototypeMap(requested, (key: Key, i: number) => ({
    key,
    versionstamp: found[2 * i] as string | null,
    expiresAt: found[2 * i + 1] as number | null,
  }));
}

/** Returns a copy, so that its keys are those that are read. Anything that can be mapped is accepted as an array. */
function copyKeys(keys: Key[]): Key[] {
  return ArrayPrototypeMap(keys, (key: Key) => key);
}

/** Returns the entries of keys that were read. */
export function entriesOf(keys: Key[], found: Found[]): Entry[] {
  return ArrayPrototypeMap(keys, (key: Key, i: number) => entry(key, found[i]));
}

/** Returns the entry of a key that was read. */
export function entry(key: Key, found: Found): Entry {
  return found === null
    ? { key, value: null, versionstamp: null }
    : { key: found[0], value: found[1], versionstamp: found[2] };
}
