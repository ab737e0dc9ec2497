import { primordials } from "ext:core/mod.js";
import type { TestContext } from "ext:openkv_runtime/testing/context.ts";

const { NumberIsInteger, TypeError } = primordials;

const MAX_NUMBER = 2 ** 32 - 1;

/** The options of a test, apart from its name and function. */
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

/** Reads the arguments of `Deno.test`: (name, fn), (name, options, fn), (options), (options, fn) or (fn). */
export function readTest(first: unknown, second: unknown, third: unknown): Definition {
  const definition = typeof first === "string"
    ? named(first, second, third)
    : typeof first === "function"
    ? byFunction(first as Body, second)
    : described(first, second);
  if (typeof definition.name !== "string" || definition.name === "") {
    throw new TypeError("The name of a test must not be empty");
  }
  checkNumber(definition, "repeats");
  checkNumber(definition, "retry");
  checkNumber(definition, "timeout");
  return definition;
}

function checkNumber(definition: Definition, option: "repeats" | "retry" | "timeout") {
  const value = definition[option];
  if (value !== undefined && !(NumberIsInteger(value) && value >= 0 && value <= MAX_NUMBER)) {
    throw new TypeError(
      `The option '${option}' of the test "${definition.name}" must be an integer from 0 to ${MAX_NUMBER}: received ${value}`,
    );
  }
}

function named(name: string, second: unknown, third: unknown): Definition {
  if (typeof second === "function") return { name, fn: second as Body };
  if (typeof third !== "function") throw new TypeError(`The test "${name}" has no function`);
  const options = (second ?? {}) as Partial<Definition>;
  if (options.fn !== undefined) {
    throw new TypeError("The options have an 'fn', but the third argument is a function, too: remove one");
  }
  if (options.name !== undefined) {
    throw new TypeError("The options have a 'name', but the first argument is a name, too: remove one");
  }
  return { ...options, name, fn: third as Body };
}

function byFunction(fn: Body, second: unknown): Definition {
  if (second !== undefined) {
    throw new TypeError("Unexpected second argument: a function as the first argument must be the only one");
  }
  return { name: fn.name, fn };
}

function described(first: unknown, second: unknown): Definition {
  if (typeof first !== "object" || first === null) {
    throw new TypeError("Deno.test requires a name and a function, a function with a name, or options");
  }
  const options = first as Partial<Definition>;
  if (typeof second === "function") {
    if (options.fn !== undefined) {
      throw new TypeError("The options have an 'fn', but the second argument is a function, too: remove one");
    }
    return { ...options, name: options.name ?? second.name, fn: second as Body };
  }
  if (typeof options.fn !== "function") {
    throw new TypeError("Missing test function: pass it as 'fn' in the options, or as the second argument");
  }
  return { ...options, name: options.name ?? options.fn.name, fn: options.fn };
}

/** Reads the arguments of `t.step`: (name, fn), (options) or (fn). */
export function readStep(first: unknown, second: unknown): StepDefinition {
  if (typeof first === "string") {
    if (typeof second !== "function") throw new TypeError(`The step "${first}" has no function`);
    return { name: first, fn: second as Body };
  }
  if (typeof first === "function") {
    if (first.name === "") throw new TypeError("The function of a step must have a name, unless the name is the first argument");
    return { name: first.name, fn: first as Body };
  }
  // Read once: a getter may return a different value the next time.
  const { fn, ignore, name } = (first ?? {}) as Partial<StepDefinition>;
  if (typeof fn !== "function" || typeof name !== "string") {
    throw new TypeError("t.step requires a name and a function, a function with a name, or an object with 'name' and 'fn'");
  }
  return { name, fn, ignore };
}
