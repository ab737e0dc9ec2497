// Blobs and files of deno_web. The object that deno_web serializes for one names the parts of its contents, which are in the
// memory of the process. What is stored carries the contents as well.

import { core, primordials } from "ext:core/mod.js";

const {
  ObjectHasOwn,
  PromisePrototypeThen,
  TypedArrayPrototypeGetLength,
  TypedArrayPrototypeSet,
  TypeError,
  Uint8Array,
} = primordials;

// Undefined in a host without deno_web.
const { op_blob_create_part, op_blob_read_part, op_blob_remove_part } = core.ops;

/** What deno_web serializes for a blob, and the contents. */
interface Serialized {
  type: "Blob" | "File";
  parts: { uuid: string; size: number }[];
  size: number;
  bytes?: Uint8Array;
}

/** The id of a part that no process has: Deno, which does not know `bytes`, reports that the contents are missing. */
const NO_PART = "00000000-0000-0000-0000-000000000000";

/** The state of a fulfilled promise, as deno_core numbers it. */
const FULFILLED = 1;

/** Returns what is stored of an object of the host, by what the host serializes for it. */
export function toStored(serialized: unknown): unknown {
  if (!isBlob(serialized)) return serialized;
  const bytes = takeParts(serialized.parts);
  const size = TypedArrayPrototypeGetLength(bytes);
  return { ...serialized, parts: size === 0 ? [] : [{ uuid: NO_PART, size }], size, bytes };
}

/** Returns the functions that restore objects of the host, by their types. */
export function deserializers(): Record<string, (stored: unknown) => object> {
  const ofHost = core.getCloneableDeserializers();
  if (op_blob_create_part === undefined) return ofHost;
  const restore = (stored: Serialized) => {
    core.loadExtScript("ext:deno_web/09_file.js");
    return ofHost[stored.type](withParts(stored));
  };
  return { __proto__: ofHost, Blob: restore, File: restore } as unknown as typeof ofHost;
}

function isBlob(serialized: unknown): serialized is Serialized {
  const type = (serialized as Serialized | undefined)?.type;
  return (type === "Blob" || type === "File") && op_blob_read_part !== undefined;
}

/** Gives a blob a part with the stored contents. Older versions, and Deno, store none: only their own process has the parts. */
function withParts(stored: Serialized): Serialized {
  if (!ObjectHasOwn(stored, "bytes")) return stored;
  const bytes = stored.bytes as Uint8Array;
  const size = TypedArrayPrototypeGetLength(bytes);
  return { ...stored, parts: [{ uuid: op_blob_create_part(bytes), size }], size };
}

/** Takes parts, which deno_web made for the serialized blob and nobody else, from the memory of the process. */
function takeParts(parts: Serialized["parts"]): Uint8Array {
  const contents: Uint8Array[] = [];
  let size = 0;
  try {
    for (let i = 0; i < parts.length; i++) {
      contents[i] = readPart(parts[i].uuid);
      size += TypedArrayPrototypeGetLength(contents[i]);
    }
  } finally {
    for (let i = 0; i < parts.length; i++) op_blob_remove_part(parts[i].uuid);
  }
  if (contents.length === 1) return contents[0];
  const bytes = new Uint8Array(size);
  for (let i = 0, offset = 0; i < contents.length; i++) {
    TypedArrayPrototypeSet(bytes, contents[i], offset);
    offset += TypedArrayPrototypeGetLength(contents[i]);
  }
  return bytes;
}

/** Reads a part. A write takes effect in the order of the calls, so it cannot wait for one that is not in memory. */
function readPart(uuid: string): Uint8Array {
  const reading = op_blob_read_part(uuid);
  PromisePrototypeThen(reading, undefined, () => {});
  const { 0: state, 1: bytes } = core.getPromiseDetails(reading);
  if (state !== FULFILLED) {
    throw new TypeError("a Blob whose contents are not in memory cannot be stored: store `await blob.bytes()` instead");
  }
  return bytes;
}
