// Blobs and files of deno_web. deno_web serializes one as an object that refers to parts in the memory of the process. The
// stored object has the contents as well.

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

/** The object that deno_web serializes for a blob, and the contents. */
interface Serialized {
  type: "Blob" | "File";
  parts: { uuid: string; size: number }[];
  size: number;
  bytes?: Uint8Array;
}

/** The id of a part that does not exist: Deno, which ignores `bytes`, reports that the contents are missing. */
const NO_PART = "00000000-0000-0000-0000-000000000000";

/** The number that deno_core has for the state of a fulfilled promise. */
const FULFILLED = 1;

/** Returns the object to store for a host object, from the one that the host serializes for it. */
export function toEncodable(serialized: unknown): unknown {
  if (!isBlob(serialized)) return serialized;
  const bytes = takeParts(serialized.parts);
  const size = TypedArrayPrototypeGetLength(bytes);
  return { ...serialized, parts: size === 0 ? [] : [{ uuid: NO_PART, size }], size, bytes };
}

/** Returns the functions that restore host objects, by type. */
export function deserializers(): Record<string, (stored: unknown) => object> {
  const hostDeserializers = core.getCloneableDeserializers();
  if (op_blob_create_part === undefined) return hostDeserializers;
  const restore = (stored: Serialized) => {
    core.loadExtScript("ext:deno_web/09_file.js");
    return hostDeserializers[stored.type](withParts(stored));
  };
  return { __proto__: hostDeserializers, Blob: restore, File: restore } as unknown as typeof hostDeserializers;
}

function isBlob(serialized: unknown): serialized is Serialized {
  const type = (serialized as Serialized | undefined)?.type;
  return (type === "Blob" || type === "File") && op_blob_read_part !== undefined;
}

/** Creates a part with the stored contents. Deno and older versions store no contents: only their process has the parts. */
function withParts(stored: Serialized): Serialized {
  if (!ObjectHasOwn(stored, "bytes")) return stored;
  const bytes = stored.bytes as Uint8Array;
  const size = TypedArrayPrototypeGetLength(bytes);
  return { ...stored, parts: [{ uuid: op_blob_create_part(bytes), size }], size };
}

/** Removes parts from the memory of the process, and returns their contents. deno_web creates them for this serialization only. */
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

/** Reads a part. Writes take effect in the order of the calls, so a write cannot wait for a part that is not in memory. */
function readPart(uuid: string): Uint8Array {
  const reading = op_blob_read_part(uuid);
  PromisePrototypeThen(reading, undefined, () => {});
  const { 0: state, 1: bytes } = core.getPromiseDetails(reading);
  if (state !== FULFILLED) {
    throw new TypeError("a Blob whose contents are not in memory cannot be stored: store `await blob.bytes()` instead");
  }
  return bytes;
}
