import { op_openkv_message, op_openkv_serialize } from "ext:core/ops";

/** Serializes a message for the queue. Unlike a value, a message is always in V8's serialization format. */
export function serializeMessage(message: unknown): Uint8Array {
  return op_openkv_serialize(message);
}

/** Deserializes a message of the queue. */
export function deserializeMessage(bytes: Uint8Array): unknown {
  return op_openkv_message(bytes);
}
