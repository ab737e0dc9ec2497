import { core, primordials } from "ext:core/mod.js";

const { ObjectDefineProperties, SymbolFor } = primordials;
const console = core.loadExtScript("ext:deno_web/01_console.js");
const webidl = core.loadExtScript("ext:deno_webidl/00_webidl.js");
const loadLocks = core.createLazyLoader("ext:deno_web/locks.js");

/** The properties of `navigator` that depend on the process. */
export interface NavigatorInfo {
  hardwareConcurrency: number;
  language: string;
  userAgent: string;
}

let info: NavigatorInfo;

/** Sets these properties. Called once, after the snapshot has been restored. */
export function setNavigatorInfo(processInfo: NavigatorInfo) {
  info = processInfo;
}

/** Returns the name that browsers have for the platform, which scripts compare with. */
function platform(): string {
  const { arch, os } = core.build;
  switch (os) {
    case "darwin":
      return "MacIntel";
    case "windows":
      return "Win32";
    case "linux":
      return `Linux ${arch}`;
    case "freebsd":
      return `FreeBSD ${arch === "x86_64" ? "amd64" : arch}`;
    default:
      return `${os} ${arch}`;
  }
}

const properties: Record<string, () => unknown> = {
  hardwareConcurrency: () => info.hardwareConcurrency,
  userAgent: () => info.userAgent,
  language: () => info.language,
  languages: () => [info.language],
  platform,
};

/** The class of `navigator`. */
export class Navigator {
  constructor() {
    webidl.illegalConstructor();
  }

  [SymbolFor("Deno.privateCustomInspect")](inspect: Inspect, options: unknown) {
    return inspectNavigator(this, Navigator.prototype, inspect, options);
  }
}

/** The class of `navigator` in a worker. */
export class WorkerNavigator {
  constructor() {
    webidl.illegalConstructor();
  }

  [SymbolFor("Deno.privateCustomInspect")](inspect: Inspect, options: unknown) {
    return inspectNavigator(this, WorkerNavigator.prototype, inspect, options);
  }
}

type Inspect = (value: unknown, options: unknown) => string;

function inspectNavigator(object: object, prototype: object, inspect: Inspect, options: unknown) {
  const keys = primordials.ObjectKeys(properties);
  const evaluate = primordials.ObjectPrototypeIsPrototypeOf(prototype, object);
  return inspect(console.createFilteredInspectProxy({ object, evaluate, keys }), options);
}

function getter(prototype: object, get: () => unknown) {
  return {
    __proto__: null,
    configurable: true,
    enumerable: true,
    get() {
      webidl.assertBranded(this, prototype);
      return get();
    },
  };
}

for (const prototype of new primordials.SafeArrayIterator([Navigator.prototype, WorkerNavigator.prototype])) {
  for (const name of new primordials.SafeArrayIterator(primordials.ObjectKeys(properties))) {
    ObjectDefineProperties(prototype, { [name]: getter(prototype, properties[name]) });
  }
  ObjectDefineProperties(prototype, { locks: getter(prototype, () => loadLocks().locks) });
}

export const navigator = webidl.createBranded(Navigator);
export const workerNavigator = webidl.createBranded(WorkerNavigator);
