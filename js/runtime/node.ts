// The modules of Node.js are those of deno_node. None of them is loaded before a script needs it.

import { core, internals, primordials } from "ext:core/mod.js";
import { lazyProperties } from "ext:openkv_runtime/lazy.ts";
import type { Options } from "ext:openkv_runtime/main.ts";

const { uncurryThis, Uint8ArrayPrototype } = primordials;

// Marks the keys of WebCrypto: deno_crypto expects the symbol to be there before it is loaded.
core.loadExtScript("ext:deno_node/internal/crypto/constants.ts");
// Lets keys and histograms be cloned.
core.loadExtScript("ext:deno_node/02_register_cloneable.js");

const loadBuffer = core.createLazyLoader("node:buffer");
const loadModule = core.createLazyLoader("node:module");
const loadProcess = core.createLazyLoader("node:process");
const loadTimers = core.createLazyLoader("node:timers");

/** What a script finds of Node.js in its global scope, as property descriptors. */
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

/** What deno_node leaves for its host to call, once it has been loaded. */
interface Callbacks {
  dispatchProcessBeforeExitEvent?(): boolean;
  dispatchProcessExitEvent?(): void;
  nodeProcessRejectionHandledCallback?(event: Event): void;
  nodeProcessUnhandledRejectionCallback?(event: Event): void;
}

const callbacks = internals as Callbacks;

/** Prepares the modules for being loaded. Called once, when `Deno` is complete. */
export function prepareNode({ args, cluster, nodeDebug, program, testing, usesNodeModules, version, worker }: Options) {
  // V8 adds these methods after it has restored the snapshot, unless a flag says otherwise.
  const { setFromHex, toHex } = Uint8ArrayPrototype;
  internals.uint8ArrayToHex = toHex && uncurryThis(toHex);
  internals.uint8ArraySetFromHex = setFromHex && uncurryThis(setFromHex);

  const facts = {
    argv0: program,
    denoArgs: args,
    denoVersion: version,
    nodeClusterSchedPolicy: cluster?.policy,
    nodeClusterUniqueId: cluster?.id,
    nodeDebug,
    runningOnMainThread: worker === undefined,
    usesLocalNodeModulesDir: usesNodeModules,
  };
  if (cluster !== undefined) {
    // A process that was started by `fork` sends and receives messages from its first line on.
    loadProcess();
    loadModule();
    (globalThis as unknown as { nodeBootstrap(options: typeof facts): void }).nodeBootstrap(facts);
  } else {
    internals.__nodeBootstrapArgs = facts;
  }
  // Not while a test runs, whose timeout may interrupt it: what was loaded in part stays so.
  if (testing) loadTimers();
}

/** Emits `beforeExit` of `process`. Returns whether the listeners have started something. */
export function dispatchBeforeExit(): boolean {
  return callbacks.dispatchProcessBeforeExitEvent?.() ?? false;
}

/** Emits `exit` of `process`. */
export function dispatchExit() {
  callbacks.dispatchProcessExitEvent?.();
}

/** Offers a rejection that no listener of the global scope has prevented to those of `process`. */
export function offerRejection(event: Event) {
  if (!event.defaultPrevented) callbacks.nodeProcessUnhandledRejectionCallback?.(event);
}

/** Tells the listeners of `process` about a rejection that was handled later. */
export function offerHandledRejection(event: Event) {
  callbacks.nodeProcessRejectionHandledCallback?.(event);
}
