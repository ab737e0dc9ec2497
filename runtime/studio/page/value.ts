// Shows values: nested ones folded, binary data as an image, text and bytes.

import type { Encoded, EncodedKey } from "../protocol.ts";
import { create, formatNumber, formatSize, span } from "./dom.ts";
import { bytesOf, isError, print, printName, toHex } from "../print.ts";

/** The number of items up to which a nested value is open at first. */
const OPEN_ITEMS = 12;
/** The number of items that are shown at first, and with each further step. */
const ITEMS_STEP = 200;
const BYTES_IN_LINE = 8;
const MAX_LINES = 512;
/** The bytes that images begin with, by media type. */
const IMAGES: [type: string, magic: RegExp][] = [
  ["image/png", /^\x89PNG\r\n/],
  ["image/jpeg", /^\xff\xd8\xff/],
  ["image/gif", /^GIF8[79]a/],
  ["image/webp", /^RIFF[^]{4}WEBP/],
  ["image/avif", /^[^]{4}ftypavif/],
];

/** Shows a key, each part in the color of its type. */
export function showKey(key: EncodedKey): HTMLElement {
  const shown = span("key");
  key.forEach((part, index) => shown.append(index > 0 ? span("punctuation", ", ") : "", showPart(part)));
  return shown;
}

export function showPart(part: Encoded): HTMLElement {
  const text = part.type === "Uint8Array" ? `0x${toHex(bytesOf(part))}` : print(part);
  const shown = span(`t-${part.type}`, text);
  shown.title = part.type;
  return shown;
}

/** Shows a value. Nested ones are open down to a depth. */
export function showValue(encoded: Encoded, depth = 2): HTMLElement {
  const { type, value } = encoded;
  switch (type) {
    case "Array":
      return fold(type, (value as (Encoded | null)[]).map((item, index) => ({ name: String(index), item })), depth);
    case "Set":
      return fold(type, (value as Encoded[]).map((item) => ({ name: null, item })), depth);
    case "Map":
      return fold(type, (value as [Encoded, Encoded][]).map(([key, item]) => ({ name: print(key), item })), depth);
    case "object": {
      const entries = Object.entries(value as Record<string, Encoded>);
      return fold("Object", entries.map(([name, item]) => ({ name: printName(name), item })), depth);
    }
    case "string":
      return span("t-string text", JSON.stringify(value).length < 60 ? JSON.stringify(value) : String(value));
    case "opaque":
      return span("text", String(value));
  }
  if (encoded.byteLength !== undefined) return showBytes(encoded);
  if (isError(encoded)) return showError(encoded, depth);
  return span(`t-${type} text`, type === "Date" ? String(value) : print(encoded));
}

function showError({ type, value }: Encoded, depth: number): HTMLElement {
  const { message, stack, cause } = value as { message: string; stack?: string; cause?: Encoded };
  return create(
    "div",
    { className: "error-value" },
    create("div", {}, span("t-Error", type), ": ", span("text", message)),
    // The stack begins with the same line.
    stack !== undefined && create("pre", { className: "stack" }, stack.replace(`${type}: ${message}\n`, "")),
    cause && create("div", {}, span("name", "cause"), ": ", showValue(cause, depth - 1)),
  );
}

interface Item {
  name: string | null;
  /** Null for a hole. */
  item: Encoded | null;
}

function fold(label: string, items: Item[], depth: number): HTMLElement {
  const body = create("div", { className: "items" });
  const details = create(
    "details",
    { className: "fold", open: depth > 0 && (depth > 1 || items.length <= OPEN_ITEMS) },
    create("summary", {}, span("label", label), span("count", ` ${formatNumber(items.length)}`)),
    body,
  );
  let shown = 0;
  const showMore = () => {
    for (const { name, item } of items.slice(shown, shown + ITEMS_STEP)) {
      body.append(create(
        "div",
        { className: "item" },
        name !== null && span("name", name),
        name !== null && span("punctuation", ": "),
        item === null ? span("punctuation", "hole") : showValue(item, depth - 1),
      ));
    }
    shown = Math.min(shown + ITEMS_STEP, items.length);
    if (shown === items.length) return;
    const more = create("button", { type: "button", className: "link" }, `${formatNumber(items.length - shown)} more`);
    more.addEventListener("click", () => {
      more.remove();
      showMore();
    });
    body.append(more);
  };
  // The items of a folded value are created when it is first opened.
  const onToggle = () => {
    if (details.open && shown === 0) showMore();
  };
  details.addEventListener("toggle", onToggle);
  onToggle();
  return details;
}

function showBytes(encoded: Encoded): HTMLElement {
  const bytes = bytesOf(encoded);
  const image = showImage(bytes);
  return create(
    "div",
    { className: "bytes" },
    create("div", {}, span("label", encoded.type), span("count", ` ${formatSize(bytes.length)}`)),
    image,
    showText(bytes),
    create("pre", { className: "hex" }, dump(bytes)),
  );
}

/** Shows bytes as the text that they are in UTF-8, if they are and have no control characters. */
function showText(bytes: Uint8Array): HTMLElement | null {
  try {
    const text = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
    // deno-lint-ignore no-control-regex
    return text === "" || /[\0-\x08\x0e-\x1f\x7f]/.test(text) ? null : create("pre", { className: "text" }, text);
  } catch {
    return null;
  }
}

function showImage(bytes: Uint8Array<ArrayBuffer>): HTMLElement | null {
  const start = String.fromCharCode(...bytes.subarray(0, 32));
  const [type] = IMAGES.find(([, magic]) => magic.test(start)) ?? [];
  if (type === undefined) return null;
  const url = URL.createObjectURL(new Blob([bytes], { type }));
  const image = create("img", { className: "image", src: url, alt: `The value as ${type}` });
  image.addEventListener("load", () => URL.revokeObjectURL(url));
  image.addEventListener("error", () => {
    URL.revokeObjectURL(url);
    image.remove();
  });
  return image;
}

/** Returns lines of an offset, bytes, and the characters that they are in ASCII. */
function dump(bytes: Uint8Array): string {
  const lines = [];
  for (let start = 0; start < bytes.length && lines.length < MAX_LINES; start += BYTES_IN_LINE) {
    const line = bytes.subarray(start, start + BYTES_IN_LINE);
    const hex = Array.from(line, (byte) => toHex(Uint8Array.of(byte))).join(" ").padEnd(BYTES_IN_LINE * 3 - 1);
    const text = Array.from(line, (byte) => byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : "\u00b7").join(
      "",
    );
    lines.push(`${start.toString(16).padStart(4, "0")}  ${hex}  ${text}`);
  }
  const rest = bytes.length - lines.length * BYTES_IN_LINE;
  if (rest > 0) lines.push(`and ${formatNumber(rest)} bytes more`);
  return lines.join("\n");
}
