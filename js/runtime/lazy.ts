import { core, primordials } from "ext:core/mod.js";

const { propNonEnumerableLazyLoaded, propWritableLazyLoaded } = core;
const { ObjectFromEntries, ArrayPrototypeMap } = primordials;

// deno-lint-ignore no-explicit-any
export type Module = any;

/** Returns a function that returns a script of an extension, which its first call loads. */
export function lazyScript(specifier: string): () => Module {
  let script: Module;
  return () => script ??= core.loadExtScript(specifier);
}

/** Returns descriptors of functions and objects of a module, which is loaded when one of them is first accessed. */
export function lazyProperties(load: () => Module, names: string[]) {
  return ObjectFromEntries(
    ArrayPrototypeMap(names, (name: string) => [name, propWritableLazyLoaded((module: Module) => module[name], load)]),
  );
}

/** Returns descriptors of classes of a module, which are not enumerable. It is loaded as by `lazyProperties`. */
export function lazyClasses(load: () => Module, names: string[]) {
  return ObjectFromEntries(
    ArrayPrototypeMap(
      names,
      (name: string) => [name, propNonEnumerableLazyLoaded((module: Module) => module[name], load)],
    ),
  );
}
