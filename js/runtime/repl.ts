import { core, primordials } from "ext:core/mod.js";

const { ObjectDefineProperty, StringPrototypeEndsWith, StringPrototypeSlice, StringPrototypeStartsWith } = primordials;
const console = core.loadExtScript("ext:deno_web/01_console.js");

/**
 * Prepares the global scope for the REPL: `_` is the last result, and `_error` the last thrown value. Sets
 * `globalThis.bootstrap` to the functions that the REPL calls to save either of them and to format it.
 */
export function startRepl() {
  const saveResult = defineSaved("_", "Last evaluation result");
  const saveError = defineSaved("_error", "Last thrown error");
  globalThis.bootstrap = {
    result(value: unknown) {
      saveResult(value);
      return show(value);
    },
    error(value: unknown) {
      saveError(value);
      const text = show(value);
      // An error without a stack, such as a SyntaxError, is inspected in brackets.
      const bare = core.isNativeError(value) && StringPrototypeStartsWith(text, "[") && StringPrototypeEndsWith(text, "]");
      return `Uncaught ${bare ? StringPrototypeSlice(text, 1, -1) : text}`;
    },
  };
}

/** Defines a global for a saved value, until a script assigns to it. Returns the function that saves one. */
function defineSaved(name: string, what: string): (value: unknown) => void {
  let saved: unknown;
  ObjectDefineProperty(globalThis, name, {
    __proto__: null,
    configurable: true,
    get: () => saved,
    set(value: unknown) {
      ObjectDefineProperty(globalThis, name, core.propWritable(value));
      core.print(`${what} is no longer saved to ${name}.\n`, false);
    },
  });
  return (value) => saved = value;
}

function show(value: unknown): string {
  return console.inspectArgs(["%o", value], { colors: !console.getStdoutNoColor() });
}
