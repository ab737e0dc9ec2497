// The export and import of entries as lines of JSON, in the format of `@deno/kv-utils`.

import { decodeSelector } from "./data.ts";
import { expiringAt, listWithExpiries } from "./expiry.ts";
import { decodeKey, encodeKey } from "./format.ts";
import { isImportState, type Line, MAX_KEYS_LENGTH, parseLine, printLine } from "./lines.ts";
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
  const list = kv.list(range as Deno.KvListSelector, { limit: MAX_ENTRIES + 1 });
  for await (const entry of listWithExpiries(kv, list)) {
    const key = encodeKey(entry.key);
    count += 1;
    if (entry.versionstamp !== null && !isImportState(entry.key) && JSON.stringify(key) !== excluded) {
      try {
        const line = printLine(entry);
        exported.lines.push(line);
        length += line.length;
      } catch {
        // It contains itself, or is an object that the format does not have.
        exported.skipped += 1;
      }
    }
    if (count > MAX_ENTRIES || length > MAX_LENGTH) {
      exported.after = key;
      break;
    }
  }
  return exported;
}

/** Imports lines, in one commit if their keys are not too long. An entry whose key exists is kept or replaced. */
export async function importEntries(kv: Deno.Kv, lines: string[], first: number, replace: boolean): Promise<Imported> {
  const imported: Imported = { written: 0, skipped: 0 };
  // The last of several lines with one key counts.
  let batch = new Map<string, Line>();
  let keysLength = 0;
  const commitBatch = async () => {
    const { written, skipped } = await importBatch(kv, batch, replace);
    imported.written += written;
    imported.skipped += skipped;
    [batch, keysLength] = [new Map(), 0];
  };
  for (const [index, text] of lines.entries()) {
    if (text.trim() === "") continue;
    let line;
    try {
      line = parseLine(text);
    } catch (error) {
      throw new Error(`failed to import line ${first + index}: ${(error as Error).message}`);
    }
    const name = JSON.stringify(encodeKey(line.key));
    if (batch.size > 0 && keysLength + name.length > MAX_KEYS_LENGTH) await commitBatch();
    batch.set(name, line);
    keysLength += name.length;
  }
  await commitBatch();
  return imported;
}

async function importBatch(kv: Deno.Kv, batch: Map<string, Line>, replace: boolean): Promise<Imported> {
  const found = batch.size;
  while (batch.size > 0) {
    const operation = kv.atomic();
    for (const { key, value, expiresAt } of batch.values()) {
      if (!replace) operation.check({ key, versionstamp: null });
      operation.set(key, value, expiringAt(expiresAt));
    }
    const result = await operation.commit();
    if (result.ok) break;
    for (const key of result.failedChecks) batch.delete(JSON.stringify(encodeKey(key)));
  }
  return { written: batch.size, skipped: found - batch.size };
}
