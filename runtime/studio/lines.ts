// The lines of an export, in the format of `@deno/kv-utils`. An entry that expires has one more member, "expiresAt", which other
// readers ignore.

import type { Expiring } from "./expiry.ts";
import { decode, decodeKey, encode, encodeKey } from "./format.ts";

/** The beginning of the keys under which `openkv db import` stores how far it is. They are not exported. */
const IMPORT_STATE = ["\u{10ffff}openkv", "import in progress"];

/** The limit of the keys of a batch that is imported in one commit, in characters of JSON. One takes up to three bytes. */
export const MAX_KEYS_LENGTH = 20 * 1024;

/** The entry of a line. */
export interface Line {
  key: Deno.KvKey;
  value: unknown;
  /** When it expires, in milliseconds since the Unix epoch: null if it does not. */
  expiresAt: number | null;
}

/**
 * Returns an entry as a line.
 *
 * @throws {TypeError} Its value has no form in the format.
 */
export function printLine({ key, value, versionstamp, expiresAt }: Expiring): string {
  const line = JSON.stringify({
    key: encodeKey(key),
    value: encode(value),
    versionstamp,
    ...(typeof expiresAt === "number" && { expiresAt }),
  });
  // Other readers know the number -0, which `JSON.stringify` does not write, and not its name.
  return line.replaceAll('{"type":"number","value":"-0"}', '{"type":"number","value":-0}');
}

/**
 * Returns the entry of a line.
 *
 * @throws {Error} It does not have the format.
 */
export function parseLine(line: string): Line {
  const { key, value, expiresAt = null } = JSON.parse(line);
  if (expiresAt !== null && !(Number.isSafeInteger(expiresAt) && expiresAt >= 0)) {
    throw new TypeError(`the time ${JSON.stringify(expiresAt)} is not a number of milliseconds`);
  }
  return { key: decodeKey(key), value: decode(value), expiresAt };
}

/** Returns the key under which an import stores how far it is. */
export function importStateKey(file: string, prefix: Deno.KvKey): Deno.KvKey {
  return [...IMPORT_STATE, file, ...prefix];
}

export function isImportState(key: Deno.KvKey): boolean {
  return IMPORT_STATE.every((part, index) => key[index] === part);
}
