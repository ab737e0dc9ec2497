// The export of the entries of a filter to a file, and the import of a file.

import type { EncodedKey, EncodedSelector } from "../protocol.ts";
import { exportSome, importSome } from "./api.ts";
import { create, formatNumber } from "./dom.ts";

/** The lines of a batch, which is imported in one commit, and its characters. */
const BATCH_LINES = 100;
const BATCH_LENGTH = 250_000;

/** Downloads the entries of a selector. Returns a message. */
export async function exportAll(selector: EncodedSelector, onProgress: (message: string) => void): Promise<string> {
  // The browser keeps blobs outside of the memory of the page.
  const parts: Blob[] = [];
  let [count, skipped] = [0, 0];
  let after: EncodedKey | null = null;
  do {
    const some = await exportSome(selector, after);
    parts.push(new Blob(some.lines.map((line) => `${line}\n`)));
    count += some.lines.length;
    skipped += some.skipped;
    after = some.after;
    onProgress(`Exporting\u2026 ${formatNumber(count)}`);
  } while (after);
  const url = URL.createObjectURL(new Blob(parts, { type: "application/x-ndjson" }));
  create("a", { href: url, download: "entries.ndjson" }).click();
  URL.revokeObjectURL(url);
  return `Exported ${formatNumber(count)} entries${
    skipped === 0 ? "" : `, without ${formatNumber(skipped)} that the format cannot store`
  }`;
}

/** Imports a file. Returns a message. */
export async function importFile(file: Blob, replace: boolean, onProgress: (message: string) => void): Promise<string> {
  let batch: string[] = [];
  let [first, length, written, skipped] = [1, 0, 0, 0];
  const flush = async () => {
    const result = await importSome(batch, first, replace);
    [written, skipped] = [written + result.written, skipped + result.skipped];
    [first, length, batch] = [first + batch.length, 0, []];
    onProgress(`Importing\u2026 ${formatNumber(written)}`);
  };
  for await (const line of readLines(file)) {
    if (batch.length === BATCH_LINES || length + line.length > BATCH_LENGTH) await flush();
    batch.push(line);
    length += line.length;
  }
  await flush();
  return `Imported ${formatNumber(written)} entries${
    skipped === 0 ? "" : `, kept ${formatNumber(skipped)} that existed`
  }`;
}

async function* readLines(file: Blob): AsyncGenerator<string> {
  const reader = file.stream().pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (let chunk = await reader.read(); !chunk.done; chunk = await reader.read()) {
    const lines = (rest + chunk.value).split("\n");
    rest = lines.pop() ?? "";
    yield* lines;
  }
  if (rest !== "") yield rest;
}
