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

/** What each kind of permission can be narrowed to: the name of the descriptor's property. */
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

/** Properties that may be given as file URLs. */
const PATHS = ["path", "command"];

export type Action = "query" | "request" | "revoke";
type Descriptor = { name: string } & Record<string, unknown>;
export interface State {
  state: string;
  partial: boolean;
}

const INTERNAL = Symbol("internal");

/** The state of one permission. It stays true: a later query that sees a change tells this object, too. */
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

  /** Takes on a state, and tells listeners if it is another one. */
  static update(status: PermissionStatus, to: State) {
    const before = status.#status;
    status.#status = to;
    if (before.state !== to.state || before.partial !== to.partial) status.dispatchEvent(new Event("change"));
  }

  [SymbolFor("Deno.privateCustomInspect")](inspect: (value: unknown, options: unknown) => string, options: unknown) {
    const { state, partial, onchange } = this as unknown as Record<string, unknown>;
    return `${this.constructor.name} ${inspect(partial ? { state, onchange, partial } : { state, onchange }, options)}`;
  }
}
defineEventHandler(PermissionStatus.prototype, "change");

/** The statuses that scripts hold, by kind and what it is narrowed to. */
const statuses = new SafeMap();

function act(action: Action, descriptor: Descriptor): PermissionStatus {
  const name = descriptor?.name;
  const by = typeof name === "string" ? NARROWED_BY[name] : undefined;
  if (by === undefined) {
    throw new TypeError(`The provided value "${name}" is not a valid permission name`);
  }
  const narrowed = ArrayPrototypeIncludes(PATHS, by) ? pathFromURL(descriptor[by]) : descriptor[by];
  const of = narrowed === undefined || narrowed === null ? undefined : `${narrowed}`;

  const state = op_openkv_permission(action, name, of);
  const key = of === undefined ? name : `${name} ${of}`;
  let status = MapPrototypeGet(statuses, key);
  if (status === undefined) {
    status = new PermissionStatus(INTERNAL, state);
    MapPrototypeSet(statuses, key, status);
  } else {
    PermissionStatus.update(status, state);
  }
  return status;
}

/** `Deno.Permissions`: one method a verb, and the same without a promise. */
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
