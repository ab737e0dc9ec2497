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

/** Returns the `each` method of a function that registers tests: it registers one for each case, named by a template. */
export function eachOf(test: Test) {
  return (cases: unknown) => {
    if (!ArrayIsArray(cases)) throw new TypeError("Deno.test.each requires an array of cases");
    return (template: string, second: unknown, third: unknown) => {
      const fn = (typeof second === "function" ? second : third) as (...args: unknown[]) => unknown;
      if (typeof fn !== "function") throw new TypeError("Deno.test.each requires a test function");
      const options = typeof second === "function" ? {} : (second ?? {}) as object;
      ArrayPrototypeForEach(cases, (value: unknown, index: number) => {
        const values = ArrayIsArray(value) ? value : [value];
        test(nameOf(template, index, value), options, (t) => fn(...new SafeArrayIterator([...new SafeArrayIterator(values), t])));
      });
    };
  };
}

const PLACEHOLDERS = new SafeRegExp("%([sdifjoO#%])|\\$(\\w+(?:\\.\\w+)*)", "g");

/**
 * Returns the name of a case. The placeholders `%s`, `%d`, `%i`, `%f`, `%j`, `%o` and `%O` are replaced by its values in turn,
 * `%#` by its index, `%%` by a percent sign, and `$key` or `$key.key` by a property.
 */
function nameOf(template: string, index: number, value: unknown): string {
  const values = ArrayIsArray(value) ? value : [value];
  let next = 0;
  return StringPrototypeReplace(template, PLACEHOLDERS, (_: string, kind: string | undefined, path: string) => {
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
