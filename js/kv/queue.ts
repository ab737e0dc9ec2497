import { primordials } from "ext:core/mod.js";
import { op_openkv_dequeue, op_openkv_finish, op_openkv_start } from "ext:core/ops";
import { deserializeMessage } from "ext:openkv/message.ts";
import { report } from "ext:openkv/report.ts";

const { Promise } = primordials;

type Handler = (message: unknown) => unknown;

/** The messages that are being finished. */
interface Finishing {
  count: number;
  /** Called once there are none. */
  wake?: () => void;
}

/**
 * Delivers messages to a handler until the database is closed, then waits for those that are being finished. It does not wait
 * for handlers that still run, which may finish their messages later.
 */
export async function listen(rid: number, handler: Handler): Promise<void> {
  const finishing: Finishing = { count: 0 };
  /** The last failure that was reported, as each is reported once. */
  let failure: string | undefined;
  let messages: [Uint8Array, number][] | string | null;
  while ((messages = await op_openkv_dequeue(rid)) !== null) {
    if (typeof messages === "string") {
      if (messages !== failure) report("Failed to deliver queue messages, trying again:", messages);
      failure = messages;
      continue;
    }
    failure = undefined;
    for (let i = 0; i < messages.length; i++) {
      const { 0: message, 1: number } = messages[i];
      handle(handler, message, number, finishing);
    }
  }
  if (finishing.count > 0) await new Promise<void>((wake) => finishing.wake = wake);
}

/** Delivers one message to a handler. Never rejects: a message that could not be finished may be delivered again. */
async function handle(handler: Handler, bytes: Uint8Array, number: number, finishing: Finishing): Promise<void> {
  let success = false;
  try {
    const message = start(bytes, number);
    if (message === undefined) return;
    await handler(message.value);
    success = true;
  } catch (error) {
    report("Exception in queue handler", error);
  }
  finishing.count++;
  try {
    await op_openkv_finish(number, success);
  } catch (error) {
    report("Failed to finish a queue message, which may be delivered again:", error);
  }
  if (--finishing.count === 0) finishing.wake?.();
}

/**
 * Deserializes a message, and marks it as being handled: a failure counts as an attempt, too. Returns undefined if a handler has
 * closed the database, as the message is left to other listeners. Marks it last, right before the handler is called.
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
