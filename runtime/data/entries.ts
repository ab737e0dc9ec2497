// `openkv db get`, `set`, `delete`, `list` and `watch`.

import { decodeSelector } from "../studio/data.ts";
import { type Expiring, listWithExpiries, withExpiries } from "../studio/expiry.ts";
import { decode, decodeKey, encode, encodeKey } from "../studio/format.ts";
import { printLine } from "../studio/lines.ts";
import { parseKey, parseValue } from "../studio/parse.ts";
import { print, printKey, printTime } from "../studio/print.ts";
import type { EncodedSelector } from "../studio/protocol.ts";
import { Lines } from "./output.ts";
import { Failure, type Settings } from "./settings.ts";

/** Prints the value of a key. */
export async function show(kv: Deno.Kv, settings: Settings): Promise<number> {
  const [key] = keysOf(settings);
  const [entry] = await withExpiries(kv, [await kv.get(key)]);
  if (entry.versionstamp === null) throw new Failure(`${printKey(encodeKey(key))}: there is no such entry`);
  console.log(settings.json ? jsonOf(entry) : valueOf(entry.value));
  return 0;
}

/** Sets the value of a key. */
export async function set(kv: Deno.Kv, settings: Settings): Promise<number> {
  const [key] = keysOf(settings);
  const value = parsed("value", settings.value, (text) => decode(parseValue(text)));
  const { versionstamp } = await kv.set(key, value, settings.expireIn === null ? {} : { expireIn: settings.expireIn });
  console.log(versionstamp);
  return 0;
}

/** Deletes entries. */
export async function remove(kv: Deno.Kv, settings: Settings): Promise<number> {
  const keys = keysOf(settings);
  const found = await kv.getMany(keys);
  const missing = found.filter(({ versionstamp }) => versionstamp === null).map(({ key }) => printKey(encodeKey(key)));
  if (missing.length > 0) throw new Failure(`${missing.join(", ")}: there is no such entry`);
  const operation = kv.atomic();
  for (const key of keys) operation.delete(key);
  await operation.commit();
  return 0;
}

/** Prints the entries of a range, one a line. */
export async function list(kv: Deno.Kv, settings: Settings): Promise<number> {
  const { limit, reverse, keysOnly, json } = settings;
  const lines = new Lines(Deno.stdout);
  const options = { reverse, ...(limit !== null && { limit }) };
  if (keysOnly) {
    for await (const { key } of kv.list(selectorOf(settings), { ...options, values: false })) {
      await lines.add(json ? JSON.stringify(encodeKey(key)) : printKey(encodeKey(key)));
    }
  } else {
    for await (const entry of listWithExpiries(kv, kv.list(selectorOf(settings), options))) {
      if (entry.versionstamp === null) continue;
      await lines.add(json ? jsonOf(entry) : lineOf(entry));
    }
  }
  await lines.flush();
  return 0;
}

/** Prints the current values of keys, and each change, until the process is stopped. */
export async function watch(kv: Deno.Kv, settings: Settings): Promise<number> {
  const keys = keysOf(settings);
  const versions = new Map<number, string | null>();
  for await (const entries of kv.watch(keys)) {
    const changed = [...entries.entries()].filter(([index, entry]) => versions.get(index) !== entry.versionstamp);
    for (const [i, entry] of (await withExpiries(kv, changed.map(([, entry]) => entry))).entries()) {
      versions.set(changed[i][0], entry.versionstamp);
      console.log(settings.json ? jsonOf(entry) : lineOf(entry));
    }
  }
  return 0;
}

function lineOf({ key, value, versionstamp, expiresAt }: Expiring): string {
  // In one line, without the comma before a closing bracket.
  const printed = versionstamp === null
    ? "(deleted)"
    : valueOf(value).replaceAll(/,\n\s*(?=[\]}])/g, " ").replaceAll(/\n\s*/g, " ");
  const expiry = typeof expiresAt === "number" ? ` // expires ${printTime(expiresAt)}` : "";
  return `${printKey(encodeKey(key))} ${printed}${expiry}`;
}

/** Prints a value as an expression, or describes one that has none. */
function valueOf(value: unknown): string {
  try {
    return print(encode(value));
  } catch {
    return Deno.inspect(value, { depth: 20 });
  }
}

/** Returns an entry as a line of an export, or the versionstamp null if there is none. */
function jsonOf(entry: Expiring): string {
  const key = encodeKey(entry.key);
  if (entry.versionstamp === null) return JSON.stringify({ key, versionstamp: null });
  try {
    return printLine(entry);
  } catch (error) {
    throw new Failure(`${printKey(key)}: ${(error as Error).message}`);
  }
}

function keysOf({ keys }: Settings): Deno.KvKey[] {
  return keys.map((text) => keyOf("key", text));
}

function keyOf(name: string, text: string): Deno.KvKey {
  return parsed(name, text, (text) => decodeKey(parseKey(text)));
}

/** Returns the range of the options. */
export function selectorOf({ range }: Settings): Deno.KvListSelector {
  const key = (name: "prefix" | "start" | "end") => {
    const text = range[name];
    return text === null ? undefined : parsed(name, text, parseKey);
  };
  const selector: EncodedSelector = { prefix: key("prefix") ?? [], start: key("start"), end: key("end") };
  return decodeSelector(selector) as Deno.KvListSelector;
}

function parsed<T>(name: string, text: string, parse: (text: string) => T): T {
  try {
    return parse(text);
  } catch (error) {
    throw new Failure(`the ${name} ${text} is not valid: ${(error as Error).message}`);
  }
}
