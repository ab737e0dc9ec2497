// Prints the API of a runtime as JSON: the exports of each Node.js built-in module, or the error message if it cannot be
// loaded, and the members of the `Deno` namespace with the members of each.

import { builtinModules } from "node:module";

/** Returns the names of the own properties of a value. */
function names(value: unknown): string[] {
  if (value === null || !["object", "function"].includes(typeof value)) return [];
  return Object.getOwnPropertyNames(value).sort();
}

/** Returns the properties of a value and, if it is a class, those of its instances. */
function members(value: unknown): string[] {
  const found = names(value).filter((name) => !["length", "name", "prototype"].includes(name));
  let { prototype } = (value ?? {}) as { prototype?: object | null };
  for (; prototype && prototype !== Object.prototype; prototype = Object.getPrototypeOf(prototype)) {
    found.push(...names(prototype).filter((name) => name !== "constructor").map((name) => `prototype.${name}`));
  }
  return found;
}

const modules: Record<string, string[] | string> = {};
for (const name of builtinModules) {
  const specifier = name.startsWith("node:") ? name : `node:${name}`;
  try {
    modules[specifier] = Object.keys(await import(specifier)).sort();
  } catch (error) {
    modules[specifier] = (error as Error).message;
  }
}

const namespace: Record<string, string[]> = {};
for (const name of names(Deno)) {
  if (Object.prototype.propertyIsEnumerable.call(Deno, name)) {
    namespace[name] = members(Deno[name as "args"]);
  }
}

console.log(JSON.stringify({ version: Deno.version.deno, modules, namespace }));
