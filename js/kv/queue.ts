import { op_openkv_dequeue, op_openkv_finish, op_openkv_start } from "ext:core/ops";
import { deserializeMessage } from "ext:openkv/message.ts";
import { report } from "ext:openkv/report.ts";

type Handler = (message: unknown) => unknown;

/** Hands messages to a handler until the database is closed. Handlers that run then may still finish their messages. */
export async function listen(rid: number, handler: Handler): Promise<void> {
  /** The failure that was reported last. */
  let failure: string | undefined;
  let messages: [Uint8Array, number][] | string | null;
  while ((messages = await op_openkv_dequeue(rid)) !== null) {
    if (typeof messages === "string") {
      if (messages !== failure) report("Queue messages could not be delivered, and will be tried again:", messages);
      failure = messages;
      continue;
    }
    failure = undefined;
    for (let i = 0; i < messages.length; i++) {
      const { 0: message, 1: number } = messages[i];
      handle(handler, message, number);
    }
  }
}

/** Hands one message to a handler. Never rejects: a message that could not be finished is delivered again. */
async function handle(handler: Handler, bytes: Uint8Array, number: number): Promise<void> {
  let success = false;
  try {
    const message = start(bytes, number);
    if (message === undefined) return;
    await handler(message.value);
    success = true;
  } catch (error) {
    report("Exception in queue handler", error);
  }
  try {
    await op_openkv_finish(number, success);
  } catch (error) {
    report("A queue message could not be finished, and will be delivered again:", error);
  }
}

/**
 * Deserializes a message, and notes that it is handled: an attempt, even if that fails. Undefined where it is for others to handle,
 * as a handler has closed the database. The note comes last, right before the call of the handler.
 */
function start(bytes: Uint8Array, number: number): { value: unknown } | undefined {
  let value: unknown;
  let failure: { error: unknown } | undefined;
  try {
    value = deserializeMessage(bytes);
  } catch (error) {
    failure = { error };
  }
  if (!op_openkv_start(number)) return undefined;
  if (failure !== undefined) throw failure.error;
  return { value };
}
