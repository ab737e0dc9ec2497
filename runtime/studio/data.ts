// The reads and writes of `openkv studio`.

import { serialize } from "node:v8";

import { type Expiring, expiringAt, withExpiries } from "./expiry.ts";
import { decode, decodeKey, encode, encodeKey } from "./format.ts";
import type {
  Change,
  Child,
  Children,
  Encoded,
  EncodedKey,
  EncodedSelector,
  Entry,
  Page,
  Result,
  Row,
  Statistics,
  Write,
} from "./protocol.ts";
import { successor } from "./successor.ts";

const PAGE_SIZE = 100;
/** The number of entries whose sizes are added up by one call. */
const STATISTICS_SIZE = 2000;
const MAX_PREVIEW_LENGTH = 240;
/** The maximum number of keys in a watch. */
const WATCH_SIZE = 10;

/** Lists the entries after a key, or before it in reverse, without the key itself. Without a key, from an end of the selector. */
export async function list(
  kv: Deno.Kv,
  selector: EncodedSelector,
  after: EncodedKey | null,
  reverse: boolean,
): Promise<Page> {
  const range = decodeSelector(selector);
  if (after) range[reverse ? "end" : "start"] = decodeKey(after);
  const excluded = after && !reverse ? JSON.stringify(after) : undefined;
  const listed = await Array.fromAsync(kv.list(range as Deno.KvListSelector, { limit: PAGE_SIZE + 1, reverse }));
  const rows = (await withExpiries(kv, listed)).map(rowOf).filter((row) => row !== null);
  return {
    rows: rows.filter(({ key }) => JSON.stringify(key) !== excluded).slice(0, PAGE_SIZE),
    more: listed.length > PAGE_SIZE,
  };
}

/** Lists the parts that follow a prefix in keys, without reading all of their entries. */
export async function children(kv: Deno.Kv, prefix: EncodedKey, after: Encoded | null): Promise<Children> {
  const parent = decodeKey(prefix);
  const found = new Map<string, Child>();
  let next = after && successor(decode(after));
  if (after && next === undefined) return { children: [], more: false };
  while (true) {
    const start = next === null ? {} : { start: [...parent, next!] };
    const range = { prefix: parent, ...start };
    let [last, count]: [Deno.KvKey | undefined, number] = [undefined, 0];
    for await (const { key } of kv.list(range, { limit: PAGE_SIZE, values: false })) {
      [last, count] = [key, count + 1];
      const part = encode(key[parent.length]);
      const name = JSON.stringify(part);
      if (!found.has(name)) {
        if (found.size === PAGE_SIZE) return { children: [...found.values()], more: true };
        found.set(name, { part, isEntry: false, hasChildren: false });
      }
      const child = found.get(name)!;
      if (key.length === parent.length + 1) child.isEntry = true;
      else child.hasChildren = true;
    }
    // The last part of the batch may have entries without end: skip them.
    if (last === undefined || count < PAGE_SIZE) break;
    const part = last[parent.length];
    if (last.length === parent.length + 1) {
      for await (const _ of kv.list({ prefix: [...parent, part] }, { limit: 1, values: false })) {
        found.get(JSON.stringify(encode(part)))!.hasChildren = true;
      }
    }
    next = successor(part);
    if (next === undefined) break;
  }
  return { children: [...found.values()], more: false };
}

export function count(kv: Deno.Kv, selector: EncodedSelector): Promise<number> {
  return kv.count(decodeSelector(selector) as Deno.KvListSelector);
}

/** Adds up the sizes of the first entries after a key. */
export async function statistics(kv: Deno.Kv, after: EncodedKey | null): Promise<Statistics> {
  const groups = new Map<string, Statistics["groups"][number]>();
  const result: Statistics = { groups: [], sizes: [], after: null };
  const range = { prefix: [], ...(after && { start: decodeKey(after) }) };
  const excluded = JSON.stringify(after);
  let count = 0;
  for await (const { key, value } of kv.list(range, { limit: STATISTICS_SIZE + 1 })) {
    const encoded = encodeKey(key);
    count += 1;
    if (count > STATISTICS_SIZE) result.after = encoded;
    if (JSON.stringify(encoded) === excluded) continue;
    const size = sizeOf(value);
    const part = JSON.stringify(encoded[0]);
    const group = groups.get(part) ?? { part: encoded[0], entries: 0, bytes: 0 };
    group.entries += 1;
    group.bytes += size;
    groups.set(part, group);
    const power = size === 0 ? 0 : Math.floor(Math.log2(size)) + 1;
    result.sizes[power] = (result.sizes[power] ?? 0) + 1;
  }
  result.groups = [...groups.values()];
  result.sizes = Array.from(result.sizes, (number) => number ?? 0);
  return result;
}

export async function read(kv: Deno.Kv, key: EncodedKey): Promise<Entry> {
  const [entry] = await withExpiries(kv, [await kv.get(decodeKey(key))]);
  return { key, row: rowOf(entry), value: entry.versionstamp === null ? null : encodeOrInspect(entry.value) };
}

/** Commits writes if all entries have the versions that the page has shown. */
export async function commit(kv: Deno.Kv, writes: Write[]): Promise<Result> {
  const operation = kv.atomic();
  for (const write of writes) {
    const key = decodeKey(write.key);
    operation.check({ key, versionstamp: write.versionstamp });
    if (write.type === "set") {
      operation.set(key, decode(write.value), expiringAt(write.expiresAt));
    } else if (write.type === "delete") {
      operation.delete(key);
    } else {
      operation.sum(key, BigInt(write.value));
    }
  }
  const result = await operation.commit();
  if (result.ok) return { ok: true, versionstamp: result.versionstamp };
  const stored = await Promise.all(writes.map((write) => read(kv, write.key)));
  return {
    ok: false,
    stored: stored.filter(({ row }, index) => (row?.versionstamp ?? null) !== writes[index].versionstamp),
  };
}

/** Deletes the first entries of a selector, those of one commit. Returns their number. */
export function deleteRange(kv: Deno.Kv, selector: EncodedSelector): Promise<number> {
  return kv.deleteRange(decodeSelector(selector) as Deno.KvListSelector);
}

/** Emits the changes of entries since the versions that the page has shown, until the signal is aborted. */
export function watch(
  kv: Deno.Kv,
  shown: { key: EncodedKey; versionstamp: string | null }[],
  emit: (change: Change) => void,
  signal: AbortSignal,
): Promise<unknown> {
  const watches = [];
  for (let i = 0; i < shown.length; i += WATCH_SIZE) {
    watches.push(watchSome(kv, shown.slice(i, i + WATCH_SIZE), emit, signal));
  }
  return Promise.all(watches);
}

async function watchSome(
  kv: Deno.Kv,
  shown: { key: EncodedKey; versionstamp: string | null }[],
  emit: (change: Change) => void,
  signal: AbortSignal,
) {
  const versions = shown.map(({ versionstamp }) => versionstamp);
  const reader = kv.watch(shown.map(({ key }) => decodeKey(key))).getReader();
  const cancel = () => reader.cancel();
  signal.addEventListener("abort", cancel);
  if (signal.aborted) cancel();
  try {
    for (let item = await reader.read(); !item.done; item = await reader.read()) {
      const changed = [...item.value.entries()].filter(([index, entry]) => entry.versionstamp !== versions[index]);
      const entries = await withExpiries(kv, changed.map(([, entry]) => entry));
      changed.forEach(([index], i) => {
        versions[index] = entries[i].versionstamp;
        emit({ key: shown[index].key, row: rowOf(entries[i]) });
      });
    }
  } finally {
    signal.removeEventListener("abort", cancel);
  }
}

/** Returns a selector as `Kv.list` takes it. */
export function decodeSelector({ prefix, start, end }: EncodedSelector) {
  return {
    prefix: decodeKey(prefix),
    ...(start && { start: decodeKey(start) }),
    ...(end && { end: decodeKey(end) }),
  } as { prefix: Deno.KvKey; start?: Deno.KvKey; end?: Deno.KvKey };
}

function rowOf({ key, value, versionstamp, expiresAt }: Expiring): Row | null {
  if (versionstamp === null) return null;
  return {
    key: encodeKey(key),
    type: typeOf(value),
    preview: preview(value),
    size: sizeOf(value),
    versionstamp,
    expiresAt,
  };
}

function preview(value: unknown): string {
  if (value instanceof Uint8Array) return value.subarray(0, MAX_PREVIEW_LENGTH / 2).toHex();
  if (value instanceof Deno.KvU64) return String(value.value);
  const text = Deno.inspect(value, {
    breakLength: Infinity,
    depth: 3,
    iterableLimit: 20,
    strAbbreviateSize: MAX_PREVIEW_LENGTH,
  });
  return text.slice(0, MAX_PREVIEW_LENGTH).replaceAll(/\s+/g, " ");
}

function typeOf(value: unknown): string {
  if (value === null) return "null";
  if (typeof value !== "object") return typeof value;
  if (value instanceof Deno.KvU64) return "KvU64";
  if (value instanceof Error) return value.name;
  const name = Object.prototype.toString.call(value).slice("[object ".length, -1);
  return name === "Object" ? "object" : name;
}

/** Returns the size of a value as the database stores it. */
function sizeOf(value: unknown): number {
  if (value instanceof Deno.KvU64) return 8;
  if (value instanceof Uint8Array) return value.byteLength;
  try {
    return serialize(value).byteLength;
  } catch {
    // A host object, such as a Blob.
    return value instanceof Blob ? value.size : 0;
  }
}

/** Encodes a value, or a description of it if it has no form in the format. */
export function encodeOrInspect(value: unknown): Encoded {
  try {
    const encoded = encode(value);
    // A value may be nested too deeply for JSON.
    JSON.stringify(encoded);
    return encoded;
  } catch {
    return { type: "opaque", value: Deno.inspect(value, { depth: 20 }) };
  }
}
