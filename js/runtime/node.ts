// The Node.js built-in modules are those of deno_node. None is loaded before a script uses it.

import { core, internals, primordials } from "ext:core/mod.js";
import { lazyProperties } from "ext:openkv_runtime/lazy.ts";
import type { Options } from "ext:openkv_runtime/main.ts";

const { uncurryThis, Uint8ArrayPrototype } = primordials;

// Defines the symbol that marks WebCrypto keys. deno_crypto reads it when it is loaded.
core.loadExtScript("ext:deno_node/internal/crypto/constants.ts");
// Makes keys and histograms cloneable.
core.loadExtScript("ext:deno_node/02_register_cloneable.js");

const messagePort = core.loadExtScript("ext:deno_web/13_message_port.js");

const loadBuffer = core.createLazyLoader("node:buffer");
const loadModule = core.createLazyLoader("node:module");
const loadProcess = core.createLazyLoader("node:process");
const loadTimers = core.createLazyLoader("node:timers");

/** The property descriptors of the Node.js globals. */
export const nodeScope = {
  process: core.propWritableLazyLoaded((module: { default: unknown }) => module.default, loadProcess),
  ...lazyProperties(loadBuffer, ["Buffer"]),
  ...lazyProperties(loadTimers, [
    "clearImmediate",
    "clearInterval",
    "clearTimeout",
    "setImmediate",
    "setInterval",
    "setTimeout",
  ]),
};

/** The callbacks that deno_node registers when it is loaded, for its host to call. */
interface Callbacks {
  dispatchProcessBeforeExitEvent?(): boolean;
  dispatchProcessExitEvent?(): void;
  nodeProcessRejectionHandledCallback?(event: Event): void;
  nodeProcessUnhandledRejectionCallback?(event: Event): void;
}

const callbacks = internals as Callbacks;

/** Prepares the built-in modules for loading. Called once, after `Deno` is complete. */
export function prepareNode(options: Options) {
  const { args, cluster, mainModule, nodeDebug, program, testing, usesNodeModules, version, worker } = options;
  const metadata = worker?.metadata;
  // V8 adds these methods after the snapshot is restored, unless a flag disables them.
  const { setFromHex, toHex } = Uint8ArrayPrototype;
  internals.uint8ArrayToHex = toHex && uncurryThis(toHex);
  internals.uint8ArraySetFromHex = setFromHex && uncurryThis(setFromHex);

  const bootstrapArgs = {
    argv0: program,
    denoArgs: args,
    denoVersion: version,
    maybeWorkerMetadata: metadata && messagePort.deserializeJsMessageData(metadata),
    moduleSpecifier: metadata && mainModule,
    nodeClusterSchedPolicy: cluster?.policy,
    nodeClusterUniqueId: cluster?.id,
    nodeDebug,
    runningOnMainThread: worker === undefined,
    usesLocalNodeModulesDir: usesNodeModules,
    workerId: worker?.id,
  };
  if (cluster !== undefined || metadata !== undefined) {
    // A forked process can send and receive messages from the start, and a worker of `node:worker_threads` has `require`.
    loadProcess();
    loadModule();
    (globalThis as unknown as { nodeBootstrap(args: typeof bootstrapArgs): void }).nodeBootstrap(bootstrapArgs);
  } else {
    internals.__nodeBootstrapArgs = bootstrapArgs;
  }
  // Not during a test, whose timeout may interrupt it: a partly loaded module would remain so.
  if (testing) loadTimers();
}

/** Emits `beforeExit` on `process`. Returns whether the listeners have started more work. */
export function dispatchBeforeExit(): boolean {
  return callbacks.dispatchProcessBeforeExitEvent?.() ?? false;
}

/** Emits `exit` on `process`. After an uncaught exception in a worker, sets the exit code. */
export function dispatchExit(hasFailed?: boolean) {
  if (hasFailed) loadProcess().default.exitCode = 1;
  callbacks.dispatchProcessExitEvent?.();
}

/** Emits `unhandledRejection` on `process`, unless a listener of the global scope has prevented it. */
export function dispatchUnhandledRejection(event: Event) {
  if (!event.defaultPrevented) callbacks.nodeProcessUnhandledRejectionCallback?.(event);
}

/** Emits `rejectionHandled` on `process`. */
export function dispatchRejectionHandled(event: Event) {
  callbacks.nodeProcessRejectionHandledCallback?.(event);
}
