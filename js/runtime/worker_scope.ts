import { core, primordials } from "ext:core/mod.js";
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
const os = core.loadExtScript("ext:deno_os/30_os.js");

/** The properties of the global scope that only a main thread has. */
const OF_WINDOW = ["Navigator", "Window", "alert", "closed", "confirm", "prompt"];

const channel: Channel = {
  post: op_openkv_worker_post,
  postRaw: op_openkv_worker_post_raw,
  receive: op_openkv_worker_receive,
  tryReceive: op_openkv_worker_try_receive,
};

let closing = false;

function close() {
  if (closing) return;
  closing = true;
  op_openkv_worker_close();
}

function postMessage(_message: unknown, _transferOrOptions: unknown = undefined) {
  const prefix = "Failed to execute 'postMessage' on 'DedicatedWorkerGlobalScope'";
  postWithArguments(channel, prefix, arguments);
}

/** The properties that the global scope of a worker has in place of those of a main thread. */
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

/** Makes the global scope that of a worker with this name and main module. */
export function startWorkerScope(name: string, mainModule: string) {
  const global = globalThis as unknown as Record<string, unknown>;
  for (const property of new SafeArrayIterator(OF_WINDOW)) delete global[property];
  core.defineGlobalProperties(globalThis, scope);
  core.defineGlobalProperties(globalThis, { name: core.propWritable(name) });
  ObjectSetPrototypeOf(globalThis, globalInterfaces.DedicatedWorkerGlobalScope.prototype);
  location.setLocationHref(mainModule);
  event.defineEventHandler(globalThis, "message");
  event.defineEventHandler(globalThis, "error", undefined, true);
  event.defineEventHandler(globalThis, "unhandledrejection");
  os.setExitHandler(close);
}

/** Dispatches messages of the parent from now on. */
export function receiveFromParent() {
  op_openkv_worker_stay();
  receiveMessages(channel, globalThis, () => !closing);
}
