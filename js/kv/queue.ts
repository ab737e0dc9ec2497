import { primordials } from "ext:core/mod.js";
import { op_openkv_dequeue, op_openkv_finish, op_openkv_start } from "ext:core/ops";
import { deserializeMessage } from "ext:openkv/message.ts";
import { report } from "ext:openkv/report.ts";

const { Promise } = primordials;

type Handler = (message: unknown) => unknown;

/** What finishes messages. */
interface Finishing {
  /** How many are being finished. */
  count: number;
  /** Called once none is. */
  wake?: () => void;
}

/**
 * Hands messages to a handler until the database is closed, and what is being finished then is. Handlers that run then may still
 * finish their messages.
 */
export async function listen(rid: number, handler: Handler): Promise<void> {
  const finishing: Finishing = { count: 0 };
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
      handle(handler, message, number, finishing);
    }
  }
  if (finishing.count > 0) await new Promise<void>((wake) => finishing.wake = wake);
}

/** Hands one message to a handler. Never rejects: a message that could not be finished may be delivered again. */
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
    report("A queue message could not be finished, and may be delivered again:", error);
  }
  if (--finishing.count === 0) finishing.wake?.();
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
