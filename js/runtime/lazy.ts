import { core, primordials } from "ext:core/mod.js";

const { propNonEnumerableLazyLoaded, propWritableLazyLoaded } = core;
const { ObjectFromEntries, ArrayPrototypeMap } = primordials;

// deno-lint-ignore no-explicit-any
export type Module = any;

/** A function that answers a script of an extension, which the first call loads. */
export function lazyScript(specifier: string): () => Module {
  let script: Module;
  return () => script ??= core.loadExtScript(specifier);
}

/** Descriptors of a module's functions and objects: the first script that touches one loads the module. */
export function lazyProperties(load: () => Module, names: string[]) {
  return ObjectFromEntries(
    ArrayPrototypeMap(names, (name: string) => [name, propWritableLazyLoaded((module: Module) => module[name], load)]),
  );
}

/** Descriptors of a module's classes, which are not enumerable, loaded likewise. */
export function lazyClasses(load: () => Module, names: string[]) {
  return ObjectFromEntries(
    ArrayPrototypeMap(
      names,
      (name: string) => [name, propNonEnumerableLazyLoaded((module: Module) => module[name], load)],
    ),
  );
}
