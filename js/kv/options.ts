import { primordials } from "ext:core/mod.js";

const { ObjectGetPrototypeOf, ObjectHasOwn, ObjectPrototype } = primordials;

/**
 * Reads an option. It may be inherited, as a getter of a class is; but what stands on `Object.prototype`, where every object
 * inherits it, is not meant as an option of this call.
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
