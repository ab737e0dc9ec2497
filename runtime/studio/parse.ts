// Parses keys and values that are written as JavaScript expressions. Only literals and constructors of values are known: nothing is
// evaluated.

import { ERRORS, TYPED_ARRAYS } from "./classes.ts";
import { encodeBytes } from "./print.ts";
import type { Encoded, EncodedKey, EncodedSelector } from "./protocol.ts";

const PART_TYPES = ["string", "number", "bigint", "boolean", "Uint8Array"];
const ESCAPES: Record<string, string> = { n: "\n", t: "\t", r: "\r", b: "\b", f: "\f", v: "\v", "0": "\0" };

/** Parses a value, such as `{ name: "Ada", born: new Date("1815-12-10") }`. */
export function parseValue(text: string): Encoded {
  const parser = new Parser(text);
  const value = parser.value();
  parser.end();
  return value;
}

/** Parses a key, such as `["users", 1n]`. */
export function parseKey(text: string): EncodedKey {
  const parser = new Parser(text);
  const key = parser.key();
  parser.end();
  return key;
}

/** Parses a prefix, such as `["users"]`, or a range, such as `["a"] .. ["b"]`, of which either end may be left out. */
export function parseSelector(text: string): EncodedSelector {
  const parser = new Parser(text);
  if (parser.atEnd()) return { prefix: [] };
  const start = parser.atRange() ? undefined : parser.key();
  if (start && parser.atEnd()) return { prefix: start };
  parser.range();
  const end = parser.atEnd() ? undefined : parser.key();
  parser.end();
  return { prefix: [], ...(start && { start }), ...(end && { end }) };
}

/** Parses when an entry expires: a number of seconds from now, a date, or nothing for never. Returns milliseconds since the Unix epoch. */
export function parseExpiry(text: string): number | undefined {
  if (text.trim() === "") return undefined;
  const time = /^\s*\d+(\.\d+)?\s*$/.test(text) ? Date.now() + Math.round(Number(text) * 1000) : Date.parse(text);
  if (Number.isNaN(time)) throw new SyntaxError(`the expiry ${text} is neither a number of seconds nor a date`);
  return time;
}

class Parser {
  #text: string;
  #position = 0;

  constructor(text: string) {
    this.#text = text;
  }

  atEnd(): boolean {
    this.#skipSpace();
    return this.#position === this.#text.length;
  }

  end(): void {
    if (!this.atEnd()) this.#fail("the end");
  }

  atRange(): boolean {
    return this.#at("..");
  }

  range(): void {
    this.#expect("..");
  }

  key(): EncodedKey {
    const key = this.value();
    const parts = key.value as Encoded[];
    if (key.type !== "Array") throw new SyntaxError('a key is an array of parts, such as ["users", 1n]');
    const invalid = parts.find((part) => !PART_TYPES.includes(part?.type));
    if (invalid !== undefined) throw new SyntaxError(`a ${invalid?.type ?? "hole"} cannot be part of a key`);
    return parts;
  }

  value(): Encoded {
    this.#skipSpace();
    const char = this.#text[this.#position];
    if (char === '"' || char === "'" || char === "`") return { type: "string", value: this.#string() };
    if (this.#take("[")) return { type: "Array", value: this.#items() };
    if (this.#take("{")) return { type: "object", value: this.#properties() };
    if (char === "/") return this.#regExp();
    const number = this.#match(/[+-]?(?:0[xob][\da-f_]+|(?:\d[\d_]*)?\.?\d[\d_]*\.?(?:e[+-]?\d+)?)n?|[+-]?Infinity/iy);
    if (number) return parseNumber(number);
    const name = this.#match(/[A-Za-z][\w.]*/y) ?? this.#fail("a value");
    if (name === "new") return this.#construct();
    if (name === "true" || name === "false") return { type: "boolean", value: name === "true" };
    if (name === "null") return { type: "null", value: null };
    if (name === "undefined") return { type: "undefined" };
    if (name === "NaN") return { type: "number", value: "NaN" };
    if (name === "Uint8Array.fromHex") return this.#buffer(fromHex(this.#argument("string")));
    if (name === "Uint8Array.of") {
      this.#expect("(");
      return encodeElements("Uint8Array", this.#items(")"));
    }
    throw new SyntaxError(`the value "${name}" is not known: strings are written in quotes`);
  }

  #construct(): Encoded {
    this.#skipSpace();
    const name = this.#match(/[A-Za-z][\w.]*/y) ?? this.#fail("a class");
    this.#expect("(");
    const args = this.#items(")");
    const [first] = args;
    if (name === "Deno.KvU64" && first?.type === "bigint") {
      if (BigInt.asUintN(64, BigInt(first.value as string)) !== BigInt(first.value as string)) {
        throw new SyntaxError("a KvU64 is from 0 to 18446744073709551615");
      }
      return { type: "KvU64", value: first.value };
    }
    if (name === "Date" && first && ["string", "number"].includes(first.type)) {
      const date = new Date(first.value === "NaN" ? NaN : first.value as string | number);
      return { type: "Date", value: Number.isNaN(date.getTime()) ? "Invalid Date" : date.toISOString() };
    }
    if (name === "Map" || name === "Set") return construct(name, first);
    if (Object.hasOwn(ERRORS, name) && (first === undefined || first.type === "string")) {
      const options = args[1]?.value as { cause?: Encoded } | undefined;
      return { type: name, value: { message: first?.value ?? "", ...(options?.cause && { cause: options.cause }) } };
    }
    if (name === "DataView" && first?.type === "ArrayBuffer") return { ...first, type: name };
    if (Object.hasOwn(TYPED_ARRAYS, name)) {
      if (first?.type === "ArrayBuffer") return { ...first, type: name };
      return this.#buffer(encodeElements(name, first?.type === "Array" ? first.value as Encoded[] : []));
    }
    throw new SyntaxError(`"new ${name}(...)" is not known with these arguments`);
  }

  /** Returns an array, or its buffer if `.buffer` follows. */
  #buffer(array: Encoded): Encoded {
    return this.#take(".buffer") ? { ...array, type: "ArrayBuffer" } : array;
  }

  /** Parses an argument in parentheses. */
  #argument(type: string): string {
    this.#expect("(");
    const [argument] = this.#items(")");
    if (argument?.type !== type) this.#fail(`a ${type}`);
    return argument?.value as string;
  }

  /** Parses the rest of a list. A hole is null. */
  #items(end = "]"): Encoded[] {
    const items: (Encoded | null)[] = [];
    while (!this.#take(end)) {
      if (this.#take(",")) {
        items.push(null);
        continue;
      }
      items.push(this.value());
      if (!this.#at(end)) this.#expect(",");
    }
    return items as Encoded[];
  }

  #properties(): Record<string, Encoded> {
    const properties: [string, Encoded][] = [];
    while (!this.#take("}")) {
      this.#skipSpace();
      const quoted = /["']/.test(this.#text[this.#position]);
      const name = quoted ? this.#string() : this.#match(/[A-Za-z_$][\w$]*|\d+/y) ?? this.#fail("a name");
      this.#expect(":");
      properties.push([name, this.value()]);
      if (!this.#at("}")) this.#expect(",");
    }
    return Object.fromEntries(properties);
  }

  #string(): string {
    const quote = this.#text[this.#position++];
    let string = "";
    while (true) {
      const char = this.#text[this.#position++];
      if (char === undefined) this.#fail(quote);
      if (char === quote) return string;
      string += char === "\\" ? this.#escape() : char;
    }
  }

  #escape(): string {
    const code = this.#match(/u\{[\da-f]+\}|u[\da-f]{4}|x[\da-f]{2}/iy);
    if (code) return String.fromCodePoint(parseInt(code.replace(/[^\da-f]/gi, ""), 16));
    const char = this.#text[this.#position++] ?? this.#fail("a character");
    return ESCAPES[char] ?? (char === "\n" ? "" : char);
  }

  #regExp(): Encoded {
    const text = this.#match(/\/(?:[^/\\[\n]|\\.|\[(?:[^\]\\\n]|\\.)*\])+\/[a-z]*/y) ??
      this.#fail("a regular expression");
    const end = text.lastIndexOf("/");
    // Throws if it is invalid.
    return { type: "RegExp", value: String(new RegExp(text.slice(1, end), text.slice(end + 1))) };
  }

  #skipSpace(): void {
    this.#match(/\s+/y);
  }

  #match(pattern: RegExp): string | undefined {
    pattern.lastIndex = this.#position;
    const [text] = pattern.exec(this.#text) ?? [];
    this.#position += text?.length ?? 0;
    return text;
  }

  #at(text: string): boolean {
    this.#skipSpace();
    return this.#text.startsWith(text, this.#position);
  }

  #take(text: string): boolean {
    if (!this.#at(text)) return false;
    this.#position += text.length;
    return true;
  }

  #expect(text: string): void {
    if (!this.#take(text)) this.#fail(JSON.stringify(text));
  }

  #fail(expected: string): never {
    const rest = this.#text.slice(this.#position, this.#position + 12);
    throw new SyntaxError(`expected ${expected} at ${rest === "" ? "the end" : JSON.stringify(rest)}`);
  }
}

function parseNumber(text: string): Encoded {
  const digits = text.replaceAll("_", "").replace(/^\+/, "");
  const sign = digits.startsWith("-") ? "-" : "";
  const magnitude = digits.slice(sign.length);
  try {
    if (digits.endsWith("n")) {
      const value = BigInt(magnitude.slice(0, -1));
      return { type: "bigint", value: String(sign ? -value : value) };
    }
  } catch {
    throw new SyntaxError(`${text} is not an integer`);
  }
  const number = sign ? -Number(magnitude) : Number(magnitude);
  if (Number.isNaN(number)) throw new SyntaxError(`${text} is not a number`);
  if (Object.is(number, -0)) return { type: "number", value: "-0" };
  return { type: "number", value: Number.isFinite(number) ? number : String(number) };
}

function construct(type: "Map" | "Set", items: Encoded | undefined): Encoded {
  if (items !== undefined && items.type !== "Array") throw new SyntaxError(`a ${type} is made of an array`);
  const values = (items?.value ?? []) as Encoded[];
  if (type === "Set") return { type, value: values };
  const pairs = values.map((pair) => {
    if (pair?.type !== "Array") throw new SyntaxError("a Map is made of pairs [key, value]");
    const [key, value] = pair.value as Encoded[];
    return [key ?? { type: "undefined" }, value ?? { type: "undefined" }];
  });
  return { type, value: pairs };
}

function encodeElements(type: string, elements: Encoded[]): Encoded {
  const isBig = type.startsWith("Big");
  const values = elements.map((element) => {
    if (element?.type !== (isBig ? "bigint" : "number")) {
      throw new SyntaxError(`an element of a ${type} is not a ${isBig ? "bigint" : "number"}`);
    }
    return isBig ? BigInt(element.value as string) : Number(element.value);
  });
  const array = new TYPED_ARRAYS[type as keyof typeof TYPED_ARRAYS](values.length);
  values.forEach((value, index) => array[index] = value);
  return encodeBytes(type, new Uint8Array(array.buffer));
}

function fromHex(text: string): Encoded {
  if (!/^(?:[\da-f]{2})*$/i.test(text)) {
    throw new SyntaxError("a text of hexadecimal bytes has two digits for each byte");
  }
  const bytes = Uint8Array.from(text.match(/../g) ?? [], (byte) => parseInt(byte, 16));
  return encodeBytes("Uint8Array", bytes);
}
