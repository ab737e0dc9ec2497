import { primordials } from "ext:core/mod.js";
import type { TestContext } from "ext:openkv_runtime/testing/context.ts";

const { NumberIsInteger, TypeError } = primordials;

const MAX_NUMBER = 2 ** 32 - 1;

/** What a test may be given besides its name and function. */
export interface TestOptions {
  ignore?: boolean;
  only?: boolean;
  permissions?: unknown;
  repeats?: number;
  retry?: number;
  sanitizeExit?: boolean;
  sanitizeOps?: boolean;
  sanitizeResources?: boolean;
  timeout?: number;
}

export type Body = (t: TestContext) => unknown;

export interface Definition extends TestOptions {
  name: string;
  fn: Body;
}

export interface StepDefinition {
  name: string;
  fn: Body;
  ignore?: boolean;
}

/** What a call of `Deno.test` asks for: (name, fn), (name, options, fn), (options), (options, fn) or (fn). */
export function readTest(first: unknown, second: unknown, third: unknown): Definition {
  const definition = typeof first === "string"
    ? named(first, second, third)
    : typeof first === "function"
    ? byFunction(first as Body, second)
    : described(first, second);
  if (typeof definition.name !== "string" || definition.name === "") {
    throw new TypeError("A test needs a name that is not empty");
  }
  checkNumber(definition, "repeats");
  checkNumber(definition, "retry");
  checkNumber(definition, "timeout");
  return definition;
}

function checkNumber(definition: Definition, option: "repeats" | "retry" | "timeout") {
  const value = definition[option];
  if (value !== undefined && !(NumberIsInteger(value) && value >= 0 && value <= MAX_NUMBER)) {
    throw new TypeError(`The option '${option}' of the test "${definition.name}" must be a whole number, not ${value}`);
  }
}

function named(name: string, second: unknown, third: unknown): Definition {
  if (typeof second === "function") return { name, fn: second as Body };
  if (typeof third !== "function") throw new TypeError(`The test "${name}" has no function`);
  const options = (second ?? {}) as Partial<Definition>;
  if (options.fn !== undefined) throw new TypeError("Options have an 'fn', and the third argument is a function: one must go");
  if (options.name !== undefined) throw new TypeError("Options have a 'name', and the first argument is one: one must go");
  return { ...options, name, fn: third as Body };
}

function byFunction(fn: Body, second: unknown): Definition {
  if (second !== undefined) throw new TypeError("Nothing may follow a function that is the first argument");
  return { name: fn.name, fn };
}

function described(first: unknown, second: unknown): Definition {
  if (typeof first !== "object" || first === null) {
    throw new TypeError("A test is a name and a function, a function with a name, or options");
  }
  const options = first as Partial<Definition>;
  if (typeof second === "function") {
    if (options.fn !== undefined) throw new TypeError("Options have an 'fn', and the second argument is a function: one must go");
    return { ...options, name: options.name ?? second.name, fn: second as Body };
  }
  if (typeof options.fn !== "function") throw new TypeError("Options without a function as 'fn' need one behind them");
  return { ...options, name: options.name ?? options.fn.name, fn: options.fn };
}

/** What a call of `t.step` asks for: (name, fn), (options) or (fn). */
export function readStep(first: unknown, second: unknown): StepDefinition {
  if (typeof first === "string") {
    if (typeof second !== "function") throw new TypeError(`The step "${first}" has no function`);
    return { name: first, fn: second as Body };
  }
  if (typeof first === "function") {
    if (first.name === "") throw new TypeError("The function of a step needs a name, unless the name stands before it");
    return { name: first.name, fn: first as Body };
  }
  // Getters may answer anything else the next time.
  const { fn, ignore, name } = (first ?? {}) as Partial<StepDefinition>;
  if (typeof fn !== "function" || typeof name !== "string") {
    throw new TypeError("A step is a name and a function, a function with a name, or an object with 'name' and 'fn'");
  }
  return { name, fn, ignore };
}
