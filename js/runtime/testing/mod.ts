// `Deno.test`, and the runner of the tests that it registers. The binary lists them once the module has been loaded, and then
// runs them one by one: see runtime/src/testing.

import { core, primordials } from "ext:core/mod.js";
import { op_openkv_test_event, op_openkv_test_permissions } from "ext:core/ops";
import { plain } from "ext:openkv_runtime/arguments.ts";
import { type Location, MAX_DEPTH, type Outcome, runTest, type TestContext } from "ext:openkv_runtime/testing/context.ts";
import { type Definition, readTest, type TestOptions } from "ext:openkv_runtime/testing/definition.ts";
import { eachOf } from "ext:openkv_runtime/testing/each.ts";
import { readPermissions } from "ext:openkv_runtime/testing/permissions.ts";

const {
  ArrayPrototypeMap,
  ArrayPrototypePush,
  ArrayPrototypeUnshift,
  Error,
  ObjectAssign,
  SafeArrayIterator,
  TypeError,
} = primordials;

const os = core.loadExtScript("ext:deno_os/30_os.js");

type Hook = () => unknown;

interface Hooks {
  beforeAll: Hook[];
  beforeEach: Hook[];
  afterEach: Hook[];
  afterAll: Hook[];
}

interface Registered extends Definition {
  location: Location;
}

const tests: Registered[] = [];
const hooks: Hooks = { beforeAll: [], beforeEach: [], afterEach: [], afterAll: [] };
let sanitizer: TestOptions = {};
/** Whether the module has been loaded, after which no test can be registered. */
let closed = false;
/** The number of the current attempt to run a test. An earlier one that has timed out may still run, but must not affect it. */
let current = 0;

/** A `Deno.test` that registers nothing, for scripts that are not run as tests. */
export const inertTest = testFunction(() => {}, () => {}, () => {});

/** `Deno.bench`, which does nothing, as benchmarks are not run. */
export function bench() {}

/** Returns the `Deno.test` of a module that is run for its tests. */
export function startTesting() {
  os.setExitHandler(exit);
  return test;
}

const test = testFunction(
  (args, overrides) => {
    const definition = readTest(args[0], args[1], args[2]);
    if (closed) throw new TypeError("Tests must be registered while their module is loaded: use t.step within a test");
    ArrayPrototypePush(tests, { ...sanitizer, ...definition, ...overrides, location: core.currentUserCallSite() });
  },
  (name, hook) => {
    if (typeof hook !== "function") throw new TypeError(`Deno.test.${name} requires a function`);
    // Cleanup runs in the reverse order of setup.
    if (name === "beforeAll" || name === "beforeEach") ArrayPrototypePush(hooks[name], hook);
    else ArrayPrototypeUnshift(hooks[name], hook);
  },
  ({ ops, resources } = {}) => {
    sanitizer = { sanitizeOps: ops, sanitizeResources: resources };
  },
);

function testFunction(
  register: (args: unknown[], overrides: TestOptions) => void,
  addHook: (name: keyof Hooks, hook: Hook) => void,
  sanitizer: (options?: { ops?: boolean; resources?: boolean }) => void,
) {
  const withEach = (overrides: TestOptions) => {
    const test = (first: unknown, second?: unknown, third?: unknown) => register([first, second, third], overrides);
    return ObjectAssign(test, { each: eachOf(test) });
  };
  const test = (first: unknown, second?: unknown, third?: unknown) => register([first, second, third], {});
  return ObjectAssign(test, {
    ignore: withEach({ ignore: true }),
    only: withEach({ only: true }),
    beforeAll: (hook: Hook) => addHook("beforeAll", hook),
    beforeEach: (hook: Hook) => addHook("beforeEach", hook),
    afterEach: (hook: Hook) => addHook("afterEach", hook),
    afterAll: (hook: Hook) => addHook("afterAll", hook),
    sanitizer,
    each: eachOf(test),
  });
}

/** The functions that the binary calls. */
export const runner = {
  /** Returns the tests of the module. No test can be registered after that. */
  tests() {
    closed = true;
    const described = ArrayPrototypeMap(tests, (test: Registered) => ({
      name: test.name,
      ignore: !!test.ignore,
      only: !!test.only,
      location: test.location,
      repeats: test.repeats,
      retry: test.retry,
      sanitizeOps: maybeBoolean(test.sanitizeOps),
      sanitizeResources: maybeBoolean(test.sanitizeResources),
      timeout: test.timeout,
    }));
    return plain(described, "tests", 3);
  },
  beforeAll: () => callAll(hooks.beforeAll),
  afterAll() {
    current++;
    resetRestrictions();
    return callAll(hooks.afterAll);
  },
  /** Runs a test, by its index. */
  async run(index: number, origin: string): Promise<Outcome> {
    const test = tests[index];
    const attempt = ++current;
    os.setExitHandler(test.sanitizeExit === false ? exit : rejectExit);
    try {
      // Also replaces those of a test that has timed out.
      op_openkv_test_permissions(plain(readPermissions(test.permissions), "permissions", 2));
      const outcome = await runTest(test.name, origin, (t) => withHooks(test, t));
      const checksExitCode = outcome.kind === "ok" && test.sanitizeExit !== false && attempt === current;
      return plain(checksExitCode ? checkExitCode() : outcome, "outcome", MAX_DEPTH);
    } catch (error) {
      return { kind: "failed", error: core.destructureError(error) };
    } finally {
      if (attempt === current) resetRestrictions();
    }
  },
};

/** Removes the restrictions of a test, for the code of the module. */
function resetRestrictions() {
  op_openkv_test_permissions(null);
  os.setExitHandler(exit);
}

function maybeBoolean(value: unknown): boolean | undefined {
  return value === undefined ? undefined : !!value;
}

async function withHooks({ fn }: Definition, t: TestContext) {
  const failures: unknown[] = [];
  try {
    await callAll(hooks.beforeEach);
    await fn(t);
  } catch (error) {
    ArrayPrototypePush(failures, error);
  }
  try {
    await callAll(hooks.afterEach);
  } catch (error) {
    ArrayPrototypePush(failures, error);
  }
  // The first failure is the cause.
  if (failures.length > 0) throw failures[0];
}

async function callAll(hooks: Hook[]) {
  for (const hook of new SafeArrayIterator(hooks)) await hook();
}

/** Handles a `Deno.exit` that no test forbids: stops the module, or the run. */
function exit(code: number) {
  op_openkv_test_event({ kind: "exited", code: code | 0 });
}

function rejectExit(code: number) {
  os.setExitCode(0);
  throw new Error(`A test called Deno.exit(${code})`);
}

function checkExitCode(): Outcome {
  const code = os.getExitCode();
  if (code === 0) return { kind: "ok" };
  os.setExitCode(0);
  return { kind: "failed", error: core.destructureError(new Error(`A test set Deno.exitCode to ${code}`)) };
}
