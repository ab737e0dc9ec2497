import { core, primordials } from "ext:core/mod.js";
import { KvU64 } from "ext:openkv/u64.ts";

const { ObjectPrototypeIsPrototypeOf, TypedArrayPrototypeGetSymbolToStringTag } = primordials;

const deserializers = core.getCloneableDeserializers();

/** A value as the ops take it: under the name of its encoding. */
export type Stored = { v8: Uint8Array } | { u64: bigint } | { bytes: Uint8Array };

/** Serializes a value to store. Throws for one that cannot be stored. */
export function serialize(value: unknown): Stored {
  if (TypedArrayPrototypeGetSymbolToStringTag(value) === "Uint8Array") {
    return { bytes: value as Uint8Array };
  }
  if (ObjectPrototypeIsPrototypeOf(KvU64.prototype, value)) {
    return { u64: (value as KvU64).value };
  }
  return { v8: serializeMessage(value) };
}

/** The value that a stored one was made of. */
export function deserialize(stored: Stored): unknown {
  if ("bytes" in stored) return stored.bytes;
  if ("u64" in stored) return new KvU64(stored.u64);
  return deserializeMessage(stored.v8);
}

/** Serializes a message for the queue. Unlike a value, a message is always in V8's format. */
export function serializeMessage(message: unknown): Uint8Array {
  return core.serialize(message, { forStorage: true });
}

/** The message that was serialized. */
export function deserializeMessage(bytes: Uint8Array): unknown {
  return core.deserialize(bytes, { forStorage: true, deserializers });
}
