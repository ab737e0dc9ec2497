// The calls to the server.

import type {
  Change,
  Children,
  Encoded,
  EncodedKey,
  EncodedSelector,
  Entry,
  Exported,
  FileInfo,
  Imported,
  Page,
  Queue,
  Result,
  Session,
  Statistics,
  Write,
} from "../protocol.ts";

/** The index of the database that the page shows. */
let database = 0;

export function useDatabase(index: number): void {
  database = index;
}

export function getSession(): Promise<Session> {
  return call("session", {});
}

export function list(selector: EncodedSelector, after: EncodedKey | null, reverse: boolean): Promise<Page> {
  return call("list", { selector, after, reverse });
}

export function listChildren(prefix: EncodedKey, after: Encoded | null): Promise<Children> {
  return call("children", { prefix, after });
}

export function count(selector: EncodedSelector): Promise<number> {
  return call("count", { selector });
}

export function read(key: EncodedKey): Promise<Entry> {
  return call("entry", { key });
}

export function commit(writes: Write[]): Promise<Result> {
  return call("commit", { writes });
}

/** Deletes the first entries of a selector. Returns their number, or 0 once there are none. */
export function deleteRange(selector: EncodedSelector): Promise<number> {
  return call("delete", { selector });
}

/** Exports the entries after a key, as many as fit into a response. */
export function exportSome(selector: EncodedSelector, after: EncodedKey | null): Promise<Exported> {
  return call("export", { selector, after });
}

/** Adds up the sizes of the first entries after a key. */
export function getStatistics(after: EncodedKey | null): Promise<Statistics> {
  return call("statistics", { after });
}

/** Returns the state of the file, or null if the database has none. */
export function getFileInfo(): Promise<FileInfo | null> {
  return call("file", {});
}

/** Returns the first messages, or null if the database has no file. */
export function getQueue(): Promise<Queue | null> {
  return call("queue", {});
}

/** Imports lines of a file, of which the first has a number. */
export function importSome(lines: string[], first: number, replace: boolean): Promise<Imported> {
  return call("import", { lines, first, replace });
}

/** Calls a function with the changes of entries, until the signal is aborted. */
export async function watch(
  shown: { key: EncodedKey; versionstamp: string | null }[],
  onChange: (change: Change) => void,
  signal: AbortSignal,
): Promise<void> {
  const response = await send("watch", { shown }, signal);
  if (!response.body) return;
  let rest = "";
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  for (let chunk = await reader.read(); !chunk.done; chunk = await reader.read()) {
    const lines = (rest + chunk.value).split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines.filter((line) => line !== "")) onChange(JSON.parse(line));
  }
}

async function call<T>(name: string, body: object): Promise<T> {
  return await (await send(name, body)).json();
}

async function send(name: string, body: object, signal?: AbortSignal): Promise<Response> {
  const response = await fetch(`/api/${name}`, {
    method: "POST",
    headers: { authorization: `Bearer ${location.hash.slice(1)}` },
    body: JSON.stringify({ database, ...body }),
    signal,
  }).catch((error) => {
    if (error instanceof TypeError) throw new Error("the studio does not respond: start `openkv studio` again");
    throw error;
  });
  if (!response.ok) throw new Error((await response.json()).error);
  return response;
}
