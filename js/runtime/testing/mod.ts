// `Deno.test`, and what runs the tests that it registers. The binary asks for them once the module has been loaded, and
// then has them run one by one: see runtime/src/testing.

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
/** Whether the module has been loaded, so that tests come too late. */
let closed = false;
/** The attempt to run a test that counts. One that ran out of time runs on, but must change nothing for the next. */
let current = 0;

/** `Deno.test` that registers nothing: scripts which are not run as tests may hold some. */
export const inertTest = testFunction(() => {}, () => {}, () => {});

/** `Deno.bench`: benchmarks are not run. */
export function bench() {}

/** `Deno.test` of a module that is run for its tests. */
export function startTesting() {
  os.setExitHandler(exit);
  return test;
}

const test = testFunction(
  (args, overrides) => {
    const definition = readTest(args[0], args[1], args[2]);
    if (closed) throw new TypeError("Tests are registered while their module is loaded: within a test, use t.step");
    ArrayPrototypePush(tests, { ...sanitizer, ...definition, ...overrides, location: core.currentUserCallSite() });
  },
  (name, hook) => {
    if (typeof hook !== "function") throw new TypeError(`Deno.test.${name} takes a function`);
    // What is set up last is taken down first.
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

/** What the binary calls. */
export const runner = {
  /** The tests of the module. There may be no more after that. */
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
    settle();
    return callAll(hooks.afterAll);
  },
  /** Runs a test, by its index. */
  async run(index: number, origin: string): Promise<Outcome> {
    const test = tests[index];
    const attempt = ++current;
    os.setExitHandler(test.sanitizeExit === false ? exit : refuseExit);
    try {
      // A test that ran out of time may have left its own.
      op_openkv_test_permissions(plain(readPermissions(test.permissions), "permissions", 2));
      const outcome = await runTest(test.name, origin, (t) => withHooks(test, t));
      const checksExitCode = outcome.kind === "ok" && test.sanitizeExit !== false && attempt === current;
      return plain(checksExitCode ? refuseExitCode() : outcome, "outcome", MAX_DEPTH);
    } catch (error) {
      return { kind: "failed", error: core.destructureError(error) };
    } finally {
      if (attempt === current) settle();
    }
  },
};

/** Gives the module back what a test may not do. */
function settle() {
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
  // The first one tells why.
  if (failures.length > 0) throw failures[0];
}

async function callAll(hooks: Hook[]) {
  for (const hook of new SafeArrayIterator(hooks)) await hook();
}

/** `Deno.exit` where no test forbids it: ends the module, or the run. */
function exit(code: number) {
  op_openkv_test_event({ kind: "exited", code: code | 0 });
}

function refuseExit(code: number) {
  os.setExitCode(0);
  throw new Error(`A test called Deno.exit(${code})`);
}

function refuseExitCode(): Outcome {
  const code = os.getExitCode();
  if (code === 0) return { kind: "ok" };
  os.setExitCode(0);
  return { kind: "failed", error: core.destructureError(new Error(`A test left Deno.exitCode at ${code}`)) };
}
