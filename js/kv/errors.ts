import { core, primordials } from "ext:core/mod.js";

const { BadResource, NotCapable } = core;
const { Error, ObjectDefineProperty } = primordials;

/** Creates a class of errors with the given name. */
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

/** The classes of errors that the ops throw, apart from those of the language, for hosts that lack them. */
export const errors = { BadResource, Busy: errorClass("Busy"), NotCapable, NotSupported: errorClass("NotSupported") };

let registered = false;

/** Registers these classes with the ops. Called after the host has started, as it may have its own, as Deno has. */
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
    // The host has registered its own.
  }
}
