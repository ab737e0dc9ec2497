import { core } from "ext:core/mod.js";
import { op_kv_message } from "ext:core/ops";

/** Serializes a message for the queue. Unlike a value, a message is always in V8's serialization format. */
export function serializeMessage(message: unknown): Uint8Array {
  return core.serialize(message, { forStorage: true });
}

/** The message that was serialized. */
export function deserializeMessage(bytes: Uint8Array): unknown {
  return op_kv_message(bytes);
}
