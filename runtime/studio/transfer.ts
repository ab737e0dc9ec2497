// The export and import of entries as lines of JSON, in the format of `@deno/kv-utils`.

import { decodeSelector } from "./data.ts";
import { decode, decodeKey, encode, encodeKey } from "./format.ts";
import type { EncodedKey, EncodedSelector, Exported, Imported } from "./protocol.ts";

/** The entries that are exported by one call: up to this number, and about this many characters. */
const MAX_ENTRIES = 1000;
const MAX_LENGTH = 1_000_000;

/** Exports the entries after a key, as many as fit into a response. */
export async function exportEntries(
  kv: Deno.Kv,
  selector: EncodedSelector,
  after: EncodedKey | null,
): Promise<Exported> {
  const range = { ...decodeSelector(selector), ...(after && { start: decodeKey(after) }) };
  const excluded = JSON.stringify(after);
  const exported: Exported = { lines: [], skipped: 0, after: null };
  let [count, length] = [0, 0];
  for await (const entry of kv.list(range as Deno.KvListSelector, { limit: MAX_ENTRIES + 1 })) {
    const key = encodeKey(entry.key);
    count += 1;
    if (JSON.stringify(key) === excluded) continue;
    try {
      const line = JSON.stringify({ key, value: encode(entry.value), versionstamp: entry.versionstamp });
      exported.lines.push(line);
      length += line.length;
    } catch {
      // It contains itself, or is an object that the format does not have.
      exported.skipped += 1;
    }
    if (count > MAX_ENTRIES || length > MAX_LENGTH) {
      exported.after = key;
      break;
    }
  }
  return exported;
}

/** Imports lines in one commit. An entry whose key exists is kept or replaced. */
export async function importEntries(kv: Deno.Kv, lines: string[], first: number, replace: boolean): Promise<Imported> {
  // The last of several lines with one key counts.
  const entries = new Map<string, { key: Deno.KvKey; value: unknown }>();
  lines.forEach((line, index) => {
    if (line.trim() === "") return;
    try {
      const { key, value } = JSON.parse(line);
      entries.set(JSON.stringify(key), { key: decodeKey(key), value: decode(value) });
    } catch (error) {
      throw new Error(`failed to import line ${first + index}: ${(error as Error).message}`);
    }
  });
  const found = entries.size;
  while (entries.size > 0) {
    const operation = kv.atomic();
    for (const { key, value } of entries.values()) {
      if (!replace) operation.check({ key, versionstamp: null });
      operation.set(key, value);
    }
    const result = await operation.commit();
    if (result.ok) break;
    for (const key of result.failedChecks) entries.delete(JSON.stringify(encodeKey(key)));
  }
  return { written: entries.size, skipped: found - entries.size };
}
