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

/** The permissions of a test, as the op deserializes them: null for those of its module. */
export type TestPermissions = null | "none" | Record<string, Permission>;

/** The kinds of permissions. */
const NAMES = ["env", "ffi", "import", "net", "read", "run", "sys", "write"];

/** The kinds that may be narrowed by file URLs. */
const PATHS = ["ffi", "read", "run", "write"];

/**
 * Converts the permissions of a test to plain data for the op. A script may pass any value.
 */
export function readPermissions(permissions: unknown): TestPermissions {
  if (permissions === undefined || permissions === null || permissions === "inherit") return null;
  if (permissions === "none") return permissions;
  if (typeof permissions !== "object") {
    throw new TypeError(`The permissions of a test must be "inherit", "none" or an object: received ${show(permissions)}`);
  }
  const read: Record<string, Permission> = { __proto__: null as unknown as Permission };
  for (const name of new SafeArrayIterator(ObjectKeys(permissions))) {
    if (!ArrayPrototypeIncludes(NAMES, name)) throw new TypeError(`Unknown permission "${name}" of a test`);
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
    throw new TypeError(`The elements of the permission "${name}" of a test must be strings: received ${show(narrowed)}`);
  });
}

/** Returns a string in quotes, and the type of any other value. */
function show(value: unknown): string {
  return typeof value === "string" ? `"${value}"` : value === null ? "null" : typeof value;
}
