// Must come first: scripts of Deno's crates capture the ops that they find.
import "ext:openkv_runtime/arguments.ts";
import { core, internals, primordials } from "ext:core/mod.js";
import { op_set_format_exception_callback } from "ext:core/ops";
import { completeDeno, deno } from "ext:openkv_runtime/deno_ns.ts";
import { globalScope, locationScope, streamWasm } from "ext:openkv_runtime/global_scope.ts";
import { type NavigatorInfo, setNavigatorInfo } from "ext:openkv_runtime/navigator.ts";
import {
  dispatchBeforeExit,
  dispatchExit,
  dispatchRejectionHandled,
  dispatchUnhandledRejection,
  prepareNode,
} from "ext:openkv_runtime/node.ts";
import { startRepl } from "ext:openkv_runtime/repl.ts";
import { startServer } from "ext:openkv_runtime/serve.ts";
import { runner } from "ext:openkv_runtime/testing/mod.ts";
import type { Message } from "ext:openkv_runtime/worker_messages.ts";
import { awaitsMessages, receiveFromParent, startWorkerScope } from "ext:openkv_runtime/worker_scope.ts";
import "ext:runtime/98_global_scope_shared.js";

const {
  ErrorPrototype,
  ObjectDefineProperty,
  ObjectPrototype,
  ObjectPrototypeIsPrototypeOf,
  ObjectSetPrototypeOf,
  Symbol,
} = primordials;

const console = core.loadExtScript("ext:deno_web/01_console.js");
const event = core.loadExtScript("ext:deno_web/02_event.js");
const performance = core.loadExtScript("ext:deno_web/15_performance.js");

/** The options that the binary passes before a script runs. */
export interface Options {
  args: string[];
  /** Set if the process was forked by `node:child_process`. Only a cluster worker has an `id`. */
  cluster?: { id?: string; policy?: string };
  location?: string;
  mainModule: string;
  navigator: NavigatorInfo;
  noColor: boolean;
  /** The value of `NODE_DEBUG`. */
  nodeDebug?: string;
  pid: number;
  /** The first argument of the process: the name that it was started with. */
  program: string;
  quiet: boolean;
  stderrNoColor: boolean;
  stdoutNoColor: boolean;
  target: string;
  /** Whether the module is run for its tests. */
  testing: boolean;
  /** Whether to keep `Object.prototype.__proto__`. */
  unsafeProto: boolean;
  /** Whether npm packages are in a `node_modules` directory, rather than in the global cache. */
  usesNodeModules: boolean;
  version: { deno: string; v8: string; typescript: string };
  /** The options of a worker, unless the isolate is that of a main thread. Only one of `node:worker_threads` has metadata. */
  worker?: { id: number; name: string; metadata?: Message };
}

// As in Deno: it is not in any standard.
delete (Intl as { v8BreakIterator?: unknown }).v8BreakIterator;

// As in Deno, for the metadata of decorators.
ObjectDefineProperty(Symbol, "metadata", {
  __proto__: null,
  value: Symbol("Symbol.metadata"),
  writable: false,
  enumerable: false,
  configurable: false,
});

event.saveGlobalThisReference(globalThis);
core.defineGlobalProperties(globalThis, globalScope);
// Debuggers, which may attach at any time, receive what is printed.
core.wrapConsole(globalThis.console, core.v8Console);
core.setReportExceptionCallback(event.reportException);
core.setUnhandledPromiseRejectionHandler((promise: Promise<unknown>, reason: unknown) => {
  const rejection = new event.PromiseRejectionEvent("unhandledrejection", { cancelable: true, promise, reason });
  globalThis.dispatchEvent(rejection);
  dispatchUnhandledRejection(rejection);
  return rejection.defaultPrevented;
});
core.setHandledPromiseRejectionHandler((promise: Promise<unknown>, reason: unknown) => {
  const handled = new event.PromiseRejectionEvent("rejectionhandled", { promise, reason });
  globalThis.dispatchEvent(handled);
  dispatchRejectionHandled(handled);
});

/** Completes the global scope for a script. Called once, after the snapshot has been restored. */
function bootstrap(options: Options) {
  // For extensions only: scripts must not have access to them.
  delete globalThis.bootstrap;
  delete globalThis.__bootstrap;
  // As in Deno: prevents prototype pollution by untrusted data.
  if (!options.unsafeProto) delete (ObjectPrototype as { __proto__?: unknown }).__proto__;

  performance.setTimeOrigin();
  console.setNoColorFns(() => options.stdoutNoColor, () => options.stderrNoColor);
  core.build.standalone = false;
  core.setBuildInfo(options.target);
  if (options.worker === undefined) startWindow(options.location);
  else startWorkerScope(options.worker, options.mainModule);
  internals.log = (level: string, ...args: unknown[]) => log(options, level, args);
  core.setWasmStreamingCallback(streamWasm);
  op_set_format_exception_callback((error: unknown) => formatException(error, !options.stderrNoColor));

  setNavigatorInfo(options.navigator);
  completeDeno(options);
  ObjectDefineProperty(globalThis, "Deno", core.propReadOnly(deno));
  prepareNode(options);
}

/** Makes the global scope that of a main thread. */
function startWindow(location: string | undefined) {
  core.defineGlobalProperties(globalThis, locationScope(location));
  ObjectSetPrototypeOf(globalThis, globalThis.Window.prototype);
  event.defineEventHandler(globalThis, "error");
  event.defineEventHandler(globalThis, "load");
  event.defineEventHandler(globalThis, "beforeunload");
  event.defineEventHandler(globalThis, "unload");
  event.defineEventHandler(globalThis, "unhandledrejection");
}

/** Prints a log message of an extension. */
function log({ quiet, stderrNoColor }: Options, level: string, args: unknown[]) {
  if (level !== "error" && (quiet || (level !== "warn" && level !== "info"))) return;
  core.print(`${console.inspectArgs(args, { colors: !stderrNoColor })}\n`, true);
}

/** Formats a thrown value that is not an error; the binary formats errors. Never throws, whatever the script has thrown. */
function formatException(error: unknown, colors: boolean): string | null {
  try {
    if (core.isNativeError(error) || ObjectPrototypeIsPrototypeOf(ErrorPrototype, error)) return null;
    const shown = typeof error === "string" ? console.quoteString(error, console.getDefaultInspectOptions()) : error;
    return `Uncaught ${console.inspectArgs([shown], { colors })}`;
  } catch {
    // A getter or inspect function of the script has thrown.
    return "Uncaught (an error that cannot be displayed)";
  }
}

globalThis.bootstrap = {
  start: bootstrap,
  dispatchLoad: () => globalThis.dispatchEvent(new event.Event("load")),
  /** Returns whether the process may exit, unless a listener has prevented it. */
  dispatchBeforeUnload: () => globalThis.dispatchEvent(new event.Event("beforeunload", { cancelable: true })),
  dispatchUnload: () => globalThis.dispatchEvent(new event.Event("unload")),
  dispatchBeforeExit,
  dispatchExit,
  /** Starts to receive the messages of the parent of a worker. */
  receiveFromParent,
  awaitsMessages,
  startRepl,
  startServer,
  testing: runner,
};
