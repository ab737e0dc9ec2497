// Tests of node:test in a script that is run, where it runs no tests, as on Deno. See tests/testing for `openkv test`.

import test, { describe, it, mock } from "node:test";
import * as reporters from "node:test/reporters";
import { equal, test as check } from "../conformance/harness.ts";

await check("node:test has mocks", () => {
  const twice = mock.fn((value: number) => value * 2);
  equal([twice(2), twice.mock.callCount(), twice.mock.calls[0].arguments], [4, 1, [2]]);
  const object = { method: () => "real" };
  mock.method(object, "method", () => "mocked");
  equal(object.method(), "mocked");
  mock.restoreAll();
  equal(object.method(), "real");
});

await check("node:test has timers that a test moves", () => {
  mock.timers.enable({ apis: ["setTimeout"] });
  let called = false;
  setTimeout(() => called = true, 1000);
  mock.timers.tick(1000);
  mock.timers.reset();
  equal(called, true);
});

await check("node:test registers tests, which only a test run runs", () => {
  describe("suite", () => {
    it("is not run", () => Deno.exit(1));
  });
  equal([typeof test.skip, test.describe === describe], ["function", true]);
});

await check("node:test/reporters are there", () => {
  equal(Object.keys(reporters).includes("tap"), true);
});
