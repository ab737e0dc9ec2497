import { core, primordials } from "ext:core/mod.js";
import { op_kv_dequeue, op_kv_finish } from "ext:core/ops";
import { deserializeMessage } from "ext:openkv/message.ts";

const { PromisePrototypeThen, SafeSet, SafeSetIterator, SetPrototypeAdd, SetPrototypeDelete, String } = primordials;

type Handler = (message: unknown) => unknown;

/** Hands messages to a handler until the database is closed, and the handlers that run then are done. */
export async function listen(rid: number, handler: Handler): Promise<void> {
  const running = new SafeSet<Promise<void>>();
  let messages: [Uint8Array, number][] | null;
  while ((messages = await op_kv_dequeue(rid)) !== null) {
    for (let i = 0; i < messages.length; i++) {
      const { 0: message, 1: number } = messages[i];
      const handled = handle(handler, message, number);
      SetPrototypeAdd(running, handled);
      PromisePrototypeThen(handled, () => SetPrototypeDelete(running, handled));
    }
  }
  for (const handled of new SafeSetIterator(running)) await handled;
}

/** Hands one message to a handler. Never rejects: a message that could not be finished is delivered again. */
async function handle(handler: Handler, message: Uint8Array, number: number): Promise<void> {
  let success = false;
  try {
    await handler(deserializeMessage(message));
    success = true;
  } catch (error) {
    report("Exception in queue handler", error);
  }
  try {
    await op_kv_finish(number, success);
  } catch (error) {
    report("A queue message could not be finished, and will be delivered again:", error);
  }
}

function report(what: string, error: unknown): void {
  core.print(`${what} ${core.isNativeError(error) ? (error as Error).stack : String(error)}\n`, true);
}
