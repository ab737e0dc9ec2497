import { primordials } from "ext:core/mod.js";
import type { Body } from "ext:openkv_runtime/testing/definition.ts";

const {
  ArrayIsArray,
  ArrayPrototypeForEach,
  JSONStringify,
  MathTrunc,
  Number,
  ObjectHasOwn,
  SafeArrayIterator,
  SafeRegExp,
  String,
  StringPrototypeReplace,
  StringPrototypeSplit,
  TypeError,
} = primordials;

type Test = (name: string, options: object, fn: Body) => void;

/** `each` of a function that registers tests: one test for each case, named by a template. */
export function eachOf(test: Test) {
  return (cases: unknown) => {
    if (!ArrayIsArray(cases)) throw new TypeError("Deno.test.each takes an array of cases");
    return (template: string, second: unknown, third: unknown) => {
      const fn = (typeof second === "function" ? second : third) as (...args: unknown[]) => unknown;
      if (typeof fn !== "function") throw new TypeError("The tests of Deno.test.each have no function");
      const options = typeof second === "function" ? {} : (second ?? {}) as object;
      ArrayPrototypeForEach(cases, (value: unknown, index: number) => {
        const values = ArrayIsArray(value) ? value : [value];
        test(nameOf(template, index, value), options, (t) => fn(...new SafeArrayIterator([...new SafeArrayIterator(values), t])));
      });
    };
  };
}

const PLACES = new SafeRegExp("%([sdifjoO#%])|\\$(\\w+(?:\\.\\w+)*)", "g");

/**
 * The name of a case: `%s`, `%d`, `%i`, `%f`, `%j`, `%o` and `%O` stand for its values in turn, `%#` for its index, `%%`
 * for a percent sign, and `$key` for a property, or a property of that.
 */
function nameOf(template: string, index: number, value: unknown): string {
  const values = ArrayIsArray(value) ? value : [value];
  let next = 0;
  return StringPrototypeReplace(template, PLACES, (_: string, kind: string | undefined, path: string) => {
    if (kind === "%") return "%";
    if (kind === "#") return String(index);
    if (kind !== undefined) return next < values.length ? format(kind, values[next++]) : "undefined";
    let found: unknown = value;
    for (const key of new SafeArrayIterator(StringPrototypeSplit(path, "."))) {
      found = typeof found === "object" && found !== null && ObjectHasOwn(found, key)
        ? (found as Record<string, unknown>)[key as string]
        : undefined;
    }
    return typeof found === "object" ? format("j", found) : String(found);
  });
}

function format(kind: string, value: unknown): string {
  switch (kind) {
    case "s":
      return String(value);
    case "d":
    case "f":
      return String(Number(value));
    case "i":
      return String(MathTrunc(Number(value)));
    default:
      return JSONStringify(value) ?? String(value);
  }
}
