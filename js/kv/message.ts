import { core } from "ext:core/mod.js";

const deserializers = core.getCloneableDeserializers();

/** Serializes a message for the queue. Unlike a value, a message is always in V8's serialization format. */
export function serializeMessage(message: unknown): Uint8Array {
  return core.serialize(message, { forStorage: true });
}

/** The message that was serialized. */
export function deserializeMessage(bytes: Uint8Array): unknown {
  return core.deserialize(bytes, { forStorage: true, deserializers });
}
