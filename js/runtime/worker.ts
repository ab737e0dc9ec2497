import { core, primordials } from "ext:core/mod.js";
import {
  op_create_worker,
  op_host_post_message,
  op_host_post_message_raw,
  op_host_recv_ctrl,
  op_host_recv_message,
  op_host_recv_message_sync,
  op_host_terminate_worker,
} from "ext:core/ops";
import { type Channel, postWithArguments, receiveMessages } from "ext:openkv_runtime/worker_messages.ts";

const {
  ArrayIsArray,
  ArrayPrototypeMap,
  Error,
  ObjectDefineProperty,
  ObjectPrototypeIsPrototypeOf,
  SafeArrayIterator,
  String,
  StringPrototypeStartsWith,
  SymbolFor,
  SymbolToStringTag,
} = primordials;

const { createFilteredInspectProxy } = core.loadExtScript("ext:deno_web/01_console.js");
const { defineEventHandler, ErrorEvent, EventTarget } = core.loadExtScript("ext:deno_web/02_event.js");
const { getLocationHref } = core.loadExtScript("ext:deno_web/12_location.js");
const { pathFromURL } = core.loadExtScript("ext:deno_web/00_infra.js");
const { URL } = core.loadExtScript("ext:deno_web/00_url.js");
const webidl = core.loadExtScript("ext:deno_webidl/00_webidl.js");

/** The permissions of a worker, as the op deserializes them. */
export type WorkerPermissions = string | Record<string, unknown> | null | undefined;

/** The end of a worker, as a kind and its data. */
export type WorkerEnd = [kind: 1, failure: Failure] | [kind: 3, exitCode: number];

/** The error that has ended a worker. */
interface Failure {
  message: string;
  fileName: string | null;
  lineNumber: number | null;
  columnNumber: number | null;
}

interface WorkerOptions {
  type?: string;
  name?: string;
  deno?: { permissions?: unknown };
}

const FAILED = 1;

/** The kinds of permissions, and whether file URLs may narrow them. */
const PERMISSIONS: [string, boolean][] = [
  ["env", false],
  ["ffi", true],
  ["import", true],
  ["net", false],
  ["read", true],
  ["run", true],
  ["sys", false],
  ["write", true],
];

const workerType = webidl.createEnumConverter("WorkerType", ["classic", "module"]);

/** `Worker`. The worker is an isolate on a thread of its own. */
export class Worker extends EventTarget {
  #id: number;
  /** A worker that has closed or failed may have sent messages before. */
  #status: "running" | "ended" | "terminated" = "running";
  #channel: Channel;

  constructor(specifier: string, options: WorkerOptions = { __proto__: null } as WorkerOptions) {
    super();
    const { deno, name, type = "classic" } = options;
    const id = op_create_worker({
      name,
      permissions: permissionsForOp(deno?.permissions),
      workerType: workerType(type),
      specifier: withBase(String(specifier)),
    });
    this.#id = id;
    this.#channel = {
      post: (message) => op_host_post_message(id, message),
      postRaw: (message) => op_host_post_message_raw(id, message),
      receive: () => op_host_recv_message(id),
      tryReceive: () => op_host_recv_message_sync(id),
    };
    this.#waitForEnd();
    receiveMessages(this.#channel, this, () => this.#status !== "terminated");
  }

  async #waitForEnd() {
    const { 0: kind, 1: data } = await op_host_recv_ctrl(this.#id);
    if (this.#status === "terminated") return;
    this.#status = "ended";
    if (kind === FAILED && !this.#report(data as Failure)) throw new Error("Unhandled error in child worker.");
  }

  /** Dispatches `error`. Returns whether a listener has handled it. */
  #report({ message, fileName, lineNumber, columnNumber }: Failure): boolean {
    const event = new ErrorEvent("error", {
      cancelable: true,
      message,
      filename: fileName ?? "",
      lineno: lineNumber ?? 0,
      colno: columnNumber ?? 0,
      error: null,
    });
    this.dispatchEvent(event);
    // As in Deno: errors of scripts only, not those of modules that could not be loaded.
    if (fileName && !event.defaultPrevented) globalThis.dispatchEvent(event);
    return event.defaultPrevented;
  }

  postMessage(_message: unknown, _transferOrOptions: unknown = undefined) {
    const prefix = "Failed to execute 'postMessage' on 'MessagePort'";
    if (this.#status === "running" || arguments.length === 0) postWithArguments(this.#channel, prefix, arguments);
  }

  terminate() {
    if (this.#status === "terminated") return;
    this.#status = "terminated";
    op_host_terminate_worker(this.#id);
  }

  [SymbolFor("Deno.privateCustomInspect")](inspect: (value: unknown, options: unknown) => string, options: unknown) {
    const evaluate = ObjectPrototypeIsPrototypeOf(Worker.prototype, this);
    const keys = ["onerror", "onmessage", "onmessageerror"];
    return inspect(createFilteredInspectProxy({ object: this, evaluate, keys }), options);
  }
}
ObjectDefineProperty(Worker.prototype, SymbolToStringTag, { __proto__: null, value: "Worker", configurable: true });
defineEventHandler(Worker.prototype, "error");
defineEventHandler(Worker.prototype, "message");
defineEventHandler(Worker.prototype, "messageerror");

/** Resolves a relative URL against that of `location`, if there is one. */
function withBase(specifier: string): string {
  const isRelative = StringPrototypeStartsWith(specifier, "./") || StringPrototypeStartsWith(specifier, "../") ||
    StringPrototypeStartsWith(specifier, "/");
  const base = getLocationHref();
  return isRelative && base ? new URL(specifier, base).href : specifier;
}

/** Returns the permissions with paths in place of file URLs. The op checks the rest. */
function permissionsForOp(permissions: unknown): WorkerPermissions {
  if (typeof permissions !== "object" || permissions === null) return permissions as WorkerPermissions;
  const converted: Record<string, unknown> = { __proto__: null };
  for (const { 0: name, 1: isPath } of new SafeArrayIterator(PERMISSIONS)) {
    const permission = (permissions as Record<string, unknown>)[name];
    converted[name] = isPath && ArrayIsArray(permission) ? ArrayPrototypeMap(permission, pathFromURL) : permission;
  }
  return converted;
}
