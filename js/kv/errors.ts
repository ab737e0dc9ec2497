import { core, primordials } from "ext:core/mod.js";

const { BadResource, NotCapable } = core;
const { Error, ObjectDefineProperty } = primordials;

/** A class of errors with a name of its own. */
export function errorClass(name: string): ErrorConstructor {
  const constructor = class extends Error {
    constructor(message?: string, options?: ErrorOptions) {
      super(message, options);
      this.name = name;
    }
  };
  ObjectDefineProperty(constructor, "name", { __proto__: null, value: name, configurable: true });
  return constructor as unknown as ErrorConstructor;
}

/** What the ops throw besides the errors of the language, in a host that has no classes for it. */
export const errors = { BadResource, Busy: errorClass("Busy"), NotCapable, NotSupported: errorClass("NotSupported") };

let registered = false;

/** Makes these classes known to the ops, when the host has started: it may have classes of its own, as Deno has. */
export function registerErrors(): void {
  if (registered) return;
  registered = true;
  registerError("Busy");
  registerError("NotSupported");
}

function registerError(name: "Busy" | "NotSupported"): void {
  try {
    core.registerErrorClass(name, errors[name]);
  } catch {
    // The host has one.
  }
}
