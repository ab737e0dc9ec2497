import { core, primordials } from "ext:core/mod.js";
import type { Options } from "ext:openkv_runtime/main.ts";
import {
  op_openkv_worker_close,
  op_openkv_worker_post,
  op_openkv_worker_post_raw,
  op_openkv_worker_receive,
  op_openkv_worker_stay,
  op_openkv_worker_try_receive,
} from "ext:core/ops";
import { WorkerNavigator, workerNavigator } from "ext:openkv_runtime/navigator.ts";
import { type Channel, postWithArguments, receiveMessages } from "ext:openkv_runtime/worker_messages.ts";

const { ObjectSetPrototypeOf, SafeArrayIterator } = primordials;

const event = core.loadExtScript("ext:deno_web/02_event.js");
const globalInterfaces = core.loadExtScript("ext:deno_web/04_global_interfaces.js");
const location = core.loadExtScript("ext:deno_web/12_location.js");
const messagePort = core.loadExtScript("ext:deno_web/13_message_port.js");
const os = core.loadExtScript("ext:deno_os/30_os.js");

/** The properties of the global scope that do not exist in a worker of `node:worker_threads`. */
const OF_WEB = ["WorkerGlobalScope", "self"];

/** The properties of the global scope that exist only in a main thread. */
const OF_WINDOW = ["Navigator", "Window", "alert", "closed", "confirm", "prompt"];

const channel: Channel = {
  post: op_openkv_worker_post,
  postRaw: op_openkv_worker_post_raw,
  receive() {
    const received = op_openkv_worker_receive();
    if (endsWhenIdle) core.unrefOpPromise(received);
    return received;
  },
  tryReceive: op_openkv_worker_try_receive,
};

let closing = false;
/** Whether the worker is one of `node:worker_threads`, which ends when its event loop is empty. */
let endsWhenIdle = false;

function close() {
  if (closing) return;
  closing = true;
  op_openkv_worker_close();
}

function postMessage(_message: unknown, _transferOrOptions: unknown = undefined) {
  const prefix = "Failed to execute 'postMessage' on 'DedicatedWorkerGlobalScope'";
  postWithArguments(channel, prefix, arguments);
}

/** The properties of the global scope that exist only in a worker. */
const scope = {
  DedicatedWorkerGlobalScope: globalInterfaces.dedicatedWorkerGlobalScopeConstructorDescriptor,
  WorkerGlobalScope: globalInterfaces.workerGlobalScopeConstructorDescriptor,
  WorkerLocation: location.workerLocationConstructorDescriptor,
  WorkerNavigator: core.propNonEnumerable(WorkerNavigator),
  close: core.propNonEnumerable(close),
  location: location.workerLocationDescriptor,
  navigator: core.propGetterOnly(() => workerNavigator),
  postMessage: core.propWritable(postMessage),
};

/** Turns the global scope into that of a worker. */
export function startWorkerScope({ metadata, name }: NonNullable<Options["worker"]>, mainModule: string) {
  const global = globalThis as unknown as Record<string, unknown>;
  for (const property of new SafeArrayIterator(OF_WINDOW)) delete global[property];
  core.defineGlobalProperties(globalThis, scope);
  core.defineGlobalProperties(globalThis, { name: core.propWritable(name) });
  endsWhenIdle = metadata !== undefined;
  if (endsWhenIdle) {
    for (const property of new SafeArrayIterator(OF_WEB)) delete global[property];
  }
  ObjectSetPrototypeOf(globalThis, globalInterfaces.DedicatedWorkerGlobalScope.prototype);
  location.setLocationHref(mainModule);
  event.defineEventHandler(globalThis, "message");
  event.defineEventHandler(globalThis, "error", undefined, true);
  event.defineEventHandler(globalThis, "unhandledrejection");
  os.setExitHandler(close);
}

/** Starts to dispatch messages of the parent. */
export function receiveFromParent() {
  if (!endsWhenIdle) op_openkv_worker_stay();
  receiveMessages(channel, globalThis, () => !closing);
}

/** Returns whether a worker of `node:worker_threads` waits for messages of its parent, or of a port. */
export function awaitsMessages(): boolean {
  const isUnreferenced = (globalThis as unknown as Record<symbol, unknown>)[messagePort.unrefParentPort];
  return (event.listenerCount(globalThis, "message") > 0 && !isUnreferenced) ||
    messagePort.refedMessagePortsCount > 0;
}
