// `openkv db export`: the entries of a range as lines of JSON.

import { listWithExpiries } from "../studio/expiry.ts";
import { encodeKey } from "../studio/format.ts";
import { isImportState, printLine } from "../studio/lines.ts";
import { printKey } from "../studio/print.ts";
import { selectorOf } from "./entries.ts";
import { entries, Lines, Progress } from "./output.ts";
import { Failure, type Settings } from "./settings.ts";

export async function exportEntries(kv: Deno.Kv, settings: Settings): Promise<number> {
  const { file, force } = settings;
  if (file === null) return await write(kv, settings, Deno.stdout);
  if (!force && await exists(file)) throw new Failure(`${file}: the file exists: --force overwrites it`);
  // The file is complete or does not exist.
  const partial = `${file}.${Deno.pid}.partial`;
  const target = await Deno.open(partial, { write: true, createNew: true });
  let code;
  try {
    code = await write(kv, settings, target);
    await target.sync();
    await Deno.rename(partial, file);
  } catch (error) {
    await Deno.remove(partial);
    throw error;
  } finally {
    target.close();
  }
  return code;
}

/** Writes the entries of the range. Returns 1 if some could not be encoded. */
async function write(
  kv: Deno.Kv,
  settings: Settings,
  target: { write(bytes: Uint8Array): Promise<number> },
): Promise<number> {
  const [lines, progress] = [new Lines(target), new Progress()];
  let [written, skipped] = [0, 0];
  for await (const entry of listWithExpiries(kv, kv.list(selectorOf(settings)))) {
    const { key, versionstamp } = entry;
    if (versionstamp === null || isImportState(key)) continue;
    let line;
    try {
      line = printLine(entry);
    } catch (error) {
      progress.clear();
      console.error(`${printKey(encodeKey(key))} is left out: ${(error as Error).message}`);
      skipped += 1;
      continue;
    }
    await lines.add(line);
    written += 1;
    progress.update(() => entries(written));
  }
  await lines.flush();
  progress.clear();
  // Otherwise, stdout has the entries.
  if (settings.file !== null) console.log(`exported ${entries(written)}${skipped > 0 ? `, left out ${skipped}` : ""}`);
  return skipped > 0 ? 1 : 0;
}

async function exists(file: string): Promise<boolean> {
  try {
    await Deno.lstat(file);
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}
