import { primordials } from "ext:core/mod.js";

const { ObjectGetPrototypeOf, ObjectHasOwn, ObjectPrototype } = primordials;

/**
 * Reads an option. It may be inherited, such as a getter of a class, but not from `Object.prototype`, where it would apply to
 * every call.
 */
export function option<T extends object, K extends keyof T & string>(
  options: T | undefined,
  name: K,
): T[K] | undefined {
  if (options === undefined) return undefined;
  const value = options[name];
  if (value === undefined || !ObjectHasOwn(ObjectPrototype, name)) return value;
  let holder: object | null = options;
  while (holder !== null && holder !== ObjectPrototype) {
    if (ObjectHasOwn(holder, name)) return value;
    holder = ObjectGetPrototypeOf(holder);
  }
}
