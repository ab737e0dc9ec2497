// Prints what a runtime has, as JSON: what each module of Node.js exports, or why it cannot be loaded, and the members of
// the namespace `Deno`, with those of each member that is an object, a function or a class.

import { builtinModules } from "node:module";

/** The names of the properties that a value has itself. */
function names(value: unknown): string[] {
  if (value === null || !["object", "function"].includes(typeof value)) return [];
  return Object.getOwnPropertyNames(value).sort();
}

/** What can be used of a value: its properties, and those that the instances of a class have or inherit. */
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
