// The channel of messages between a worker and its parent. Both ends use it in the same way.

import { core, primordials } from "ext:core/mod.js";

const {
  ArrayPrototypeFilter,
  FunctionPrototypeCall,
  ObjectPrototypeIsPrototypeOf,
  PromiseResolve,
  SymbolIterator,
} = primordials;

const { DOMException } = core.loadExtScript("ext:deno_web/01_dom_exception.js");
const { EventTarget, MessageEvent, setIsTrusted } = core.loadExtScript("ext:deno_web/02_event.js");
const messagePort = core.loadExtScript("ext:deno_web/13_message_port.js");
const webidl = core.loadExtScript("ext:deno_webidl/00_webidl.js");

/** A serialized message, with what it transfers. */
export type Message = { data: Uint8Array; transferables: unknown[] };

/** One end of the channel. */
export interface Channel {
  post(message: Message): void;
  /** Sends a message that transfers nothing. */
  postRaw(message: Uint8Array): void;
  /** Returns the next message, or null when there will be no more. */
  receive(): Promise<Message | Uint8Array | null>;
  /** Returns the next message if it has arrived. */
  tryReceive(): Message | null;
}

// The method of the global scope is one that scripts may replace.
const { dispatchEvent } = EventTarget.prototype;

/** How many messages are dispatched before other events get their turn. */
const BATCH = 1000;

/** Sends a message with the arguments of `postMessage`. `prefix` is that of error messages. */
export function postWithArguments(channel: Channel, prefix: string, args: ArrayLike<unknown>): void {
  webidl.requiredArguments(args.length, 1, prefix);
  const transferOrOptions = args[1];
  if (transferOrOptions === undefined || transferOrOptions === null) {
    channel.postRaw(messagePort.serializeMessageData(args[0], (message: string) => {
      throw new DOMException(message, "DataCloneError");
    }));
    return;
  }
  channel.post(messagePort.serializeJsMessageData(args[0], transferred(transferOrOptions, prefix)));
}

/** Returns the objects to transfer, of an argument that is a sequence of them, or a dictionary. */
function transferred(argument: unknown, prefix: string): unknown[] {
  const isSequence = webidl.type(argument) === "Object" &&
    (argument as Record<symbol, unknown>)[SymbolIterator] !== undefined;
  return isSequence
    ? webidl.converters["sequence<object>"](argument, prefix, "Argument 2")
    : webidl.converters.StructuredSerializeOptions(argument, prefix, "Argument 2").transfer;
}

/** Dispatches messages as they arrive, until the other end is closed, or this one no longer `isOpen`. */
export async function receiveMessages(channel: Channel, target: object, isOpen: () => boolean): Promise<void> {
  while (isOpen()) {
    const message = await channel.receive();
    if (message === null || !isOpen()) return;
    dispatch(target, message);
    for (let i = 1; i < BATCH; i++) {
      const next = channel.tryReceive();
      if (next === null) break;
      // What the listener has scheduled comes first: it may have set another one.
      await PromiseResolve();
      if (!isOpen()) return;
      dispatch(target, next);
    }
  }
}

function dispatch(target: object, message: Message | Uint8Array): void {
  const event = deserialize(message);
  setIsTrusted(event, true);
  FunctionPrototypeCall(dispatchEvent, target, event);
}

function deserialize(message: Message | Uint8Array): Event {
  try {
    const { 0: data, 1: transferables } = messagePort.deserializeJsMessageData(message);
    const isPort = (object: unknown) => ObjectPrototypeIsPrototypeOf(messagePort.MessagePortPrototype, object);
    // Most messages transfer nothing.
    const ports = transferables.length === 0 ? undefined : ArrayPrototypeFilter(transferables, isPort);
    return new MessageEvent("message", { data, ports });
  } catch (error) {
    return new MessageEvent("messageerror", { data: error });
  }
}
