import { core, primordials } from "ext:core/mod.js";

const { ObjectDefineProperty, StringPrototypeEndsWith, StringPrototypeSlice, StringPrototypeStartsWith } = primordials;
const console = core.loadExtScript("ext:deno_web/01_console.js");

/**
 * Readies the global scope for the REPL: `_` is the last result, and `_error` what was thrown last. Leaves in
 * `globalThis.bootstrap` what the REPL calls with either: functions that remember it, and answer its text.
 */
export function startRepl() {
  const rememberResult = defineMemory("_", "Last evaluation result");
  const rememberError = defineMemory("_error", "Last thrown error");
  globalThis.bootstrap = {
    result(value: unknown) {
      rememberResult(value);
      return show(value);
    },
    error(value: unknown) {
      rememberError(value);
      const text = show(value);
      // An error without a stack, such as that of a syntax, is inspected in brackets.
      const bare = core.isNativeError(value) && StringPrototypeStartsWith(text, "[") && StringPrototypeEndsWith(text, "]");
      return `Uncaught ${bare ? StringPrototypeSlice(text, 1, -1) : text}`;
    },
  };
}

/** Defines a global that remembers a value, until a script takes the name for something else. */
function defineMemory(name: string, what: string): (value: unknown) => void {
  let remembered: unknown;
  ObjectDefineProperty(globalThis, name, {
    __proto__: null,
    configurable: true,
    get: () => remembered,
    set(value: unknown) {
      ObjectDefineProperty(globalThis, name, core.propWritable(value));
      core.print(`${what} is no longer saved to ${name}.\n`, false);
    },
  });
  return (value) => remembered = value;
}

function show(value: unknown): string {
  return console.inspectArgs(["%o", value], { colors: !console.getStdoutNoColor() });
}
