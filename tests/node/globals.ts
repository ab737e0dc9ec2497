// Tests of the Node.js globals.

import { equal, test } from "../conformance/harness.ts";

await test("global properties have the same descriptors as on Deno", () => {
  const accessor = "get set enumerable configurable";
  const value = "value writable enumerable configurable";
  const expected = {
    Buffer: accessor,
    clearImmediate: accessor,
    clearInterval: accessor,
    clearTimeout: accessor,
    global: value,
    process: accessor,
    setImmediate: accessor,
    setInterval: accessor,
    setTimeout: accessor,
  };
  const found = Object.keys(expected).map((name) => {
    const property = Object.getOwnPropertyDescriptor(globalThis, name) as PropertyDescriptor;
    return [name, Object.keys(property).filter((part) => property[part as "value"]).join(" ")];
  });
  equal(Object.fromEntries(found), expected);
});

await test("global properties can be replaced", () => {
  const original = globalThis.process;
  (globalThis as Record<string, unknown>).process = 1;
  equal(globalThis.process as unknown, 1);
  globalThis.process = original;
  equal(process.title.length > 0, true);
});

await test("timers are objects that convert to numbers", async () => {
  const timer = setTimeout(() => {}, 1e6);
  equal([typeof timer, Number.isInteger(+timer)], ["object", true]);
  clearTimeout(+timer);
  let calls = 0;
  await new Promise<void>((resolve) => {
    const interval = setInterval(() => {
      calls++;
      clearInterval(interval);
      resolve();
    }, 1);
  });
  equal(calls, 1);
  let immediate = false;
  clearImmediate(setImmediate(() => immediate = true));
  await new Promise((resolve) => setTimeout(resolve, 5));
  equal(immediate, false);
});

await test("an unreferenced timer does not keep the process alive", () => {
  setTimeout(() => Deno.exit(1), 1e6).unref();
  Deno.unrefTimer(setTimeout(() => Deno.exit(1), 1e6) as unknown as number);
});

await test("web globals are properties of global", () => {
  equal([global.fetch === fetch, new global.URL("a:b").href], [true, "a:b"]);
});
