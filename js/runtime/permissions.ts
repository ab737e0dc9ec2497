import { core, primordials } from "ext:core/mod.js";
import { op_openkv_permission } from "ext:core/ops";

const {
  ArrayPrototypeIncludes,
  MapPrototypeGet,
  MapPrototypeSet,
  Promise,
  SafeMap,
  Symbol,
  SymbolFor,
  TypeError,
} = primordials;
const { pathFromURL } = core.loadExtScript("ext:deno_web/00_infra.js");
const { Event, EventTarget, defineEventHandler } = core.loadExtScript("ext:deno_web/02_event.js");

/** The descriptor's property that narrows each kind of permission. */
const NARROWED_BY: Record<string, string> = {
  __proto__: null as unknown as string,
  read: "path",
  write: "path",
  net: "host",
  env: "variable",
  sys: "kind",
  run: "command",
  ffi: "path",
  import: "host",
};

/** Properties that may be file URLs. */
const PATHS = ["path", "command"];

export type Action = "query" | "request" | "revoke";
type Descriptor = { name: string } & Record<string, unknown>;
export interface State {
  state: string;
  partial: boolean;
}

const INTERNAL = Symbol("internal");

/** The state of one permission. A later query of the same permission updates this object. */
class PermissionStatus extends EventTarget {
  #status: State;

  constructor(key: unknown = null, status: State) {
    if (key !== INTERNAL) throw new TypeError("Illegal constructor");
    super();
    this.#status = status;
  }

  get state() {
    return this.#status.state;
  }

  get partial() {
    return this.#status.partial;
  }

  /** Sets the state, and dispatches `change` if it differs. */
  static update(status: PermissionStatus, to: State) {
    const previous = status.#status;
    status.#status = to;
    if (previous.state !== to.state || previous.partial !== to.partial) status.dispatchEvent(new Event("change"));
  }

  [SymbolFor("Deno.privateCustomInspect")](inspect: (value: unknown, options: unknown) => string, options: unknown) {
    const { state, partial, onchange } = this as unknown as Record<string, unknown>;
    return `${this.constructor.name} ${inspect(partial ? { state, onchange, partial } : { state, onchange }, options)}`;
  }
}
defineEventHandler(PermissionStatus.prototype, "change");

/** The statuses that scripts hold, by kind and the value that narrows it. */
const statuses = new SafeMap();

function act(action: Action, descriptor: Descriptor): PermissionStatus {
  const name = descriptor?.name;
  const by = typeof name === "string" ? NARROWED_BY[name] : undefined;
  if (by === undefined) {
    throw new TypeError(`The provided value "${name}" is not a valid permission name`);
  }
  const narrowed = ArrayPrototypeIncludes(PATHS, by) ? pathFromURL(descriptor[by]) : descriptor[by];
  const target = narrowed === undefined || narrowed === null ? undefined : `${narrowed}`;

  const state = op_openkv_permission(action, name, target);
  const key = target === undefined ? name : `${name} ${target}`;
  let status = MapPrototypeGet(statuses, key);
  if (status === undefined) {
    status = new PermissionStatus(INTERNAL, state);
    MapPrototypeSet(statuses, key, status);
  } else {
    PermissionStatus.update(status, state);
  }
  return status;
}

/** `Deno.Permissions`: each action as an asynchronous and a synchronous method. */
class Permissions {
  constructor(key: unknown = null) {
    if (key !== INTERNAL) throw new TypeError("Illegal constructor");
  }

  query(descriptor: Descriptor) {
    return new Promise((resolve: (status: PermissionStatus) => void) => resolve(act("query", descriptor)));
  }

  querySync(descriptor: Descriptor) {
    return act("query", descriptor);
  }

  request(descriptor: Descriptor) {
    return new Promise((resolve: (status: PermissionStatus) => void) => resolve(act("request", descriptor)));
  }

  requestSync(descriptor: Descriptor) {
    return act("request", descriptor);
  }

  revoke(descriptor: Descriptor) {
    return new Promise((resolve: (status: PermissionStatus) => void) => resolve(act("revoke", descriptor)));
  }

  revokeSync(descriptor: Descriptor) {
    return act("revoke", descriptor);
  }
}

const permissions = new Permissions(INTERNAL);

export { Permissions, permissions, PermissionStatus };
