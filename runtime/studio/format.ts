// Values and keys as JSON, in the format of `@deno/kv-utils`.

import { ERRORS, TYPED_ARRAYS } from "./classes.ts";
import type { Encoded, EncodedKey } from "./protocol.ts";

type Part = Exclude<Deno.KvKeyPart, symbol>;

/** The special numbers, which JSON does not have. */
const NUMBERS = ["NaN", "Infinity", "-Infinity", "-0"];

/**
 * Encodes a value.
 *
 * @throws {TypeError} The value, or one in it, has no form in the format, or contains itself.
 */
export function encode(value: unknown, within: readonly unknown[] = []): Encoded {
  switch (typeof value) {
    case "string":
    case "boolean":
      return { type: typeof value, value };
    case "number": {
      const text = Object.is(value, -0) ? "-0" : String(value);
      return { type: "number", value: NUMBERS.includes(text) ? text : value };
    }
    case "bigint":
      return { type: "bigint", value: String(value) };
    case "undefined":
      return { type: "undefined" };
  }
  if (value === null) return { type: "null", value: null };
  if (typeof value !== "object") throw new TypeError(`a ${typeof value} cannot be encoded`);
  if (within.includes(value)) throw new TypeError("a value that contains itself cannot be encoded");
  return encodeObject(value, [...within, value]);
}

function encodeObject(value: object, within: readonly unknown[]): Encoded {
  const encodeAll = (values: Iterable<unknown>) => Array.from(values, (value) => encode(value, within));
  if (value instanceof Deno.KvU64) return { type: "KvU64", value: String(value.value) };
  if (value instanceof Date) {
    return { type: "Date", value: Number.isNaN(value.getTime()) ? "Invalid Date" : value.toISOString() };
  }
  if (value instanceof RegExp) return { type: "RegExp", value: String(value) };
  if (value instanceof ArrayBuffer) return encodeBytes("ArrayBuffer", new Uint8Array(value));
  if (ArrayBuffer.isView(value)) {
    const name = value instanceof DataView ? "DataView" : (value as Uint8Array)[Symbol.toStringTag];
    return encodeBytes(name, new Uint8Array(value.buffer, value.byteOffset, value.byteLength));
  }
  if (Array.isArray(value)) {
    const values = Array.from(value, (item, index) => index in value ? encode(item, within) : null);
    return { type: "Array", value: values };
  }
  if (value instanceof Map) {
    return { type: "Map", value: [...value].map(([key, value]) => [encode(key, within), encode(value, within)]) };
  }
  if (value instanceof Set) return { type: "Set", value: encodeAll(value) };
  if (value instanceof Error) {
    const { message, stack, cause } = value;
    const type = Object.hasOwn(ERRORS, value.name) ? value.name : "Error";
    return { type, value: { message, stack, ...("cause" in value && { cause: encode(cause, within) }) } };
  }
  const prototype = Object.getPrototypeOf(value);
  if (prototype !== Object.prototype && prototype !== null) {
    throw new TypeError(`a value of the class ${value.constructor?.name} cannot be encoded`);
  }
  return {
    type: "object",
    value: Object.fromEntries(Object.entries(value).map(([name, value]) => [name, encode(value, within)])),
  };
}

function encodeBytes(type: string, bytes: Uint8Array): Encoded {
  return { type, value: bytes.toBase64({ alphabet: "base64url", omitPadding: true }), byteLength: bytes.byteLength };
}

/**
 * Decodes a value.
 *
 * @throws {TypeError} It does not have the format.
 */
export function decode(encoded: Encoded): unknown {
  const { type, value } = encoded ?? {};
  switch (type) {
    case "string":
      if (typeof value === "string") return value;
      break;
    case "boolean":
      if (typeof value === "boolean") return value;
      break;
    case "number":
      if (typeof value === "number" || NUMBERS.includes(value as string)) return Number(value);
      break;
    case "bigint":
      return BigInt(text(value));
    case "KvU64":
      return new Deno.KvU64(BigInt(text(value)));
    case "null":
      return null;
    case "undefined":
      return undefined;
    case "Date":
      return new Date(text(value));
    case "RegExp": {
      const [, source, flags] = /^\/(.*)\/([a-z]*)$/s.exec(text(value)) ?? [];
      if (source !== undefined) return new RegExp(source, flags);
      break;
    }
    case "ArrayBuffer":
      return bytes(value).buffer;
    case "DataView":
      return new DataView(bytes(value).buffer);
    case "Array":
      return decodeArray(list(value));
    case "Map":
      return new Map((list(value) as [Encoded, Encoded][]).map(([key, value]) => [decode(key), decode(value)]));
    case "Set":
      return new Set((list(value) as Encoded[]).map(decode));
    case "object":
      if (typeof value === "object" && value !== null) {
        return Object.fromEntries(Object.entries(value).map(([name, value]) => [name, decode(value)]));
      }
      break;
  }
  if (Object.hasOwn(TYPED_ARRAYS, type)) {
    const array = TYPED_ARRAYS[type as keyof typeof TYPED_ARRAYS];
    return new array(bytes(value).buffer);
  }
  if (Object.hasOwn(ERRORS, type)) return decodeError(type as keyof typeof ERRORS, value);
  throw new TypeError(`failed to decode a value of the type ${JSON.stringify(type)}`);
}

function decodeArray(values: unknown[]): unknown[] {
  // Without holes at first: V8 stores arrays that were created with holes in another form.
  const array = Array.from(values, (value) => value === null ? undefined : decode(value as Encoded));
  values.forEach((value, index) => {
    // An element that is not encoded is a hole.
    if (value === null) delete array[index];
  });
  return array;
}

function decodeError(type: keyof typeof ERRORS, value: unknown): Error {
  const { message, stack, cause } = value as { message: string; stack?: string; cause?: Encoded };
  const error = new ERRORS[type](text(message), cause && { cause: decode(cause) });
  // Without one, that of this call would be stored.
  Object.defineProperty(error, "stack", {
    value: stack === undefined ? `${type}: ${message}` : text(stack),
    configurable: true,
    writable: true,
  });
  return error;
}

export function encodeKey(key: Deno.KvKey): EncodedKey {
  return key.map((part) => encode(part));
}

/**
 * Decodes a key.
 *
 * @throws {TypeError} It does not have the format. Whether its parts are those of a key is checked by its use.
 */
export function decodeKey(key: EncodedKey): Part[] {
  return (list(key) as Encoded[]).map(decode) as Part[];
}

function text(value: unknown): string {
  if (typeof value === "string") return value;
  throw new TypeError(`failed to decode ${JSON.stringify(value)}: it is not a string`);
}

function list(value: unknown): unknown[] {
  if (Array.isArray(value)) return value;
  throw new TypeError(`failed to decode ${JSON.stringify(value)}: it is not an array`);
}

function bytes(value: unknown): Uint8Array<ArrayBuffer> {
  return Uint8Array.fromBase64(text(value), { alphabet: "base64url" });
}
