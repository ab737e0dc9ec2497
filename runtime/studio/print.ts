// Prints keys and values as JavaScript expressions, which parse.ts reads.

import type { Encoded, EncodedKey } from "./protocol.ts";

const INDENT = "  ";
/** The length up to which an array, object, map or set is printed in one line. */
const LINE_LENGTH = 72;

/** The last time that a date can be. */
const MAX_TIME = 8.64e15;

/** Prints a time in milliseconds since the Unix epoch. */
export function printTime(time: number): string {
  return new Date(Math.min(time, MAX_TIME)).toISOString();
}

export function printKey(key: EncodedKey): string {
  return `[${key.map((part) => print(part)).join(", ")}]`;
}

/** Prints a value, nested ones on lines of their own if they are long. */
export function print(encoded: Encoded, indent = ""): string {
  const { type, value } = encoded;
  const inner = indent + INDENT;
  switch (type) {
    case "string":
      return JSON.stringify(value);
    case "bigint":
      return `${value}n`;
    case "KvU64":
      return `new Deno.KvU64(${value}n)`;
    case "Date":
      return value === "Invalid Date" ? "new Date(NaN)" : `new Date(${JSON.stringify(value)})`;
    case "undefined":
      return "undefined";
    case "Array":
      return enclose(
        "[",
        (value as (Encoded | null)[]).map((item) => item === null ? "" : print(item, inner)),
        "]",
        indent,
      );
    case "Set":
      return enclose("new Set([", (value as Encoded[]).map((item) => print(item, inner)), "])", indent);
    case "Map": {
      const pairs = (value as [Encoded, Encoded][]).map(([key, value]) =>
        `[${print(key, inner)}, ${print(value, inner)}]`
      );
      return enclose("new Map([", pairs, "])", indent);
    }
    case "object": {
      const entries = Object.entries(value as Record<string, Encoded>);
      const printed = entries.map(([name, value]) => `${printName(name)}: ${print(value, inner)}`);
      return printed.length === 0 ? "{}" : enclose("{ ", printed, " }", indent);
    }
    case "Uint8Array":
      return printBytes(encoded);
    case "ArrayBuffer":
      return `${printBytes(encoded)}.buffer`;
    case "null":
    case "boolean":
    case "number":
    case "RegExp":
    case "opaque":
      return String(value);
  }
  if (isError(encoded)) return printError(encoded, inner);
  return `new ${type}(${printBytes(encoded)}.buffer)`;
}

function printError({ type, value }: Encoded, indent: string): string {
  const { message, cause } = value as { message: string; cause?: Encoded };
  return `new ${type}(${JSON.stringify(message)}${cause ? `, { cause: ${print(cause, indent)} }` : ""})`;
}

export function isError({ type }: Encoded): boolean {
  return type.endsWith("Error");
}

export function printName(name: string): string {
  return /^[A-Za-z_$][\w$]*$/.test(name) && name !== "__proto__" ? name : JSON.stringify(name);
}

function enclose(start: string, items: string[], end: string, indent: string): string {
  // A hole at the end needs a comma of its own.
  const last = items.at(-1) === "" ? "," : "";
  const line = `${start}${items.join(", ")}${last}${end}`;
  if (line.length <= LINE_LENGTH && !line.includes("\n")) return line;
  const inner = indent + INDENT;
  return `${start.trimEnd()}\n${items.map((item) => `${inner}${item},\n`).join("")}${indent}${end.trimStart()}`;
}

function printBytes(encoded: Encoded): string {
  return `Uint8Array.fromHex("${toHex(bytesOf(encoded))}")`;
}

export function toHex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** Returns the bytes of binary data. */
export function bytesOf({ value }: Encoded): Uint8Array<ArrayBuffer> {
  const binary = atob(String(value).replaceAll("-", "+").replaceAll("_", "/"));
  return Uint8Array.from(binary, (char) => char.charCodeAt(0));
}

/** Encodes binary data. */
export function encodeBytes(type: string, bytes: Uint8Array): Encoded {
  const binary = Array.from(bytes, (byte) => String.fromCharCode(byte)).join("");
  const value = btoa(binary).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
  return { type, value, byteLength: bytes.byteLength };
}
