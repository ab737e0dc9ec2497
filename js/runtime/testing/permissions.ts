import { core, primordials } from "ext:core/mod.js";

const {
  ArrayIsArray,
  ArrayPrototypeIncludes,
  ArrayPrototypeMap,
  ObjectKeys,
  SafeArrayIterator,
  TypeError,
} = primordials;
const { pathFromURL } = core.loadExtScript("ext:deno_web/00_infra.js");

type Permission = "inherit" | boolean | string[];

/** What a test may do, as the op takes it: null is what its module may. */
export type TestPermissions = null | "none" | Record<string, Permission>;

/** The kinds of permissions. */
const NAMES = ["env", "ffi", "import", "net", "read", "run", "sys", "write"];

/** Those that may be narrowed to file URLs. */
const PATHS = ["ffi", "read", "run", "write"];

/**
 * Returns the permissions of a test as the op takes them: null for those of its module. A script may give anything, of which the op
 * gets plain data only.
 */
export function readPermissions(permissions: unknown): TestPermissions {
  if (permissions === undefined || permissions === null || permissions === "inherit") return null;
  if (permissions === "none") return permissions;
  if (typeof permissions !== "object") {
    throw new TypeError(`The permissions of a test must be "inherit", "none" or an object: received ${show(permissions)}`);
  }
  const read: Record<string, Permission> = { __proto__: null as unknown as Permission };
  for (const name of new SafeArrayIterator(ObjectKeys(permissions))) {
    if (!ArrayPrototypeIncludes(NAMES, name)) throw new TypeError(`A test has no permission "${name}"`);
    const permission = readPermission(name, (permissions as Record<string, unknown>)[name]);
    if (permission !== undefined) read[name] = permission;
  }
  return read;
}

function readPermission(name: string, value: unknown): Permission | undefined {
  if (value === undefined || value === null) return undefined;
  if (value === "inherit" || typeof value === "boolean") return value;
  if (!ArrayIsArray(value)) {
    throw new TypeError(
      `The permission "${name}" of a test must be "inherit", a boolean or an array of strings: received ${show(value)}`,
    );
  }
  return ArrayPrototypeMap(value, (element: unknown) => {
    const narrowed = ArrayPrototypeIncludes(PATHS, name) ? pathFromURL(element) : element;
    if (typeof narrowed === "string") return narrowed;
    throw new TypeError(`The permission "${name}" of a test is for strings: received ${show(narrowed)}`);
  });
}

/** Returns a string as it is written, and what kind anything else is of. */
function show(value: unknown): string {
  return typeof value === "string" ? `"${value}"` : value === null ? "null" : typeof value;
}
