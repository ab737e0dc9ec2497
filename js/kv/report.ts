import { core, primordials } from "ext:core/mod.js";

const { ErrorPrototype, JSONStringify, ObjectPrototypeIsPrototypeOf, String } = primordials;

/** How deep causes and nested errors are shown, as they may refer to each other. */
const DEPTH = 16;

/** Writes an error that no caller sees to stderr. Never throws, whatever the script has thrown. */
export function report(what: string, thrown: unknown): void {
  core.print(`${what} ${show(thrown)}\n`, true);
}

/** Returns the text that `console.error` prints for a value, where the host has it. May run code of the script. */
export function show(thrown: unknown): string {
  const console = hostConsole();
  try {
    if (console !== undefined) return console.inspectArgs([thrown], { colors: !console.getStderrNoColor() });
  } catch {
    // A custom inspect function has thrown. The stack may still be readable.
  }
  return describe(thrown, 0);
}

/** Returns the console of deno_web, or undefined in a host without it. */
function hostConsole() {
  try {
    return core.loadExtScript("ext:deno_web/01_console.js");
  } catch {
    return undefined;
  }
}

/** Describes a value without the console of the host. */
function describe(thrown: unknown, depth: number): string {
  try {
    return ObjectPrototypeIsPrototypeOf(ErrorPrototype, thrown)
      ? describeError(thrown as Error, depth)
      : (typeof thrown === "object" ? JSONStringify(thrown) : undefined) ?? String(thrown);
  } catch {
    return "(an error that cannot be displayed)";
  }
}

function describeError(error: Error, depth: number): string {
  const { stack, cause, errors } = error as AggregateError;
  let text = typeof stack === "string" ? stack : `${error.name}: ${error.message}`;
  if (depth === DEPTH) return text;
  for (let i = 0; i < (errors?.length ?? 0); i++) text += `\nError ${i + 1}: ${describe(errors[i], depth + 1)}`;
  if (cause !== undefined) text += `\nCaused by: ${describe(cause, depth + 1)}`;
  return text;
}
