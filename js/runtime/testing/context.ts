import { core, primordials } from "ext:core/mod.js";
import { op_openkv_test_event } from "ext:core/ops";
import { plain } from "ext:openkv_runtime/arguments.ts";
import { readStep, type StepDefinition } from "ext:openkv_runtime/testing/definition.ts";

const { ArrayPrototypeConcat, ArrayPrototypeFilter, ArrayPrototypePush, Error, SafeArrayIterator, SymbolToStringTag } = primordials;

/** The context that is passed to the function of a test or a step. */
export interface TestContext {
  name: string;
  origin: string;
  parent?: TestContext;
  step(first: unknown, second?: unknown): Promise<boolean>;
}

/** The outcome of a test or a step, as the binary deserializes it. */
export type Outcome =
  | { kind: "ok" }
  | { kind: "ignored" }
  | { kind: "failed"; error: object }
  | { kind: "failedSteps"; count: number }
  | { kind: "incompleteSteps" }
  | { kind: "incomplete" };

export interface Location {
  fileName: string;
  lineNumber: number;
  columnNumber: number;
}

interface Scope {
  /** The names of the test and its steps, down to this one. */
  path: string[];
  steps: Step[];
  ended: boolean;
}

interface Step extends Scope {
  id: number;
  outcome?: Outcome;
}

/** The maximum depth of errors in events and outcomes, as the binary does not deserialize more. */
export const MAX_DEPTH = 128;

let lastStep = 0;
/** The current test, or the last one. */
let running: Scope | undefined;

/** Runs the function of a test. Returns its outcome, which includes that of its steps. */
export async function runTest(name: string, origin: string, body: (t: TestContext) => unknown): Promise<Outcome> {
  if (running !== undefined) abandon(running);
  const scope: Scope = { path: [name], steps: [], ended: false };
  running = scope;
  return await run(scope, () => body(context(scope, origin, undefined)));
}

async function run(scope: Scope, body: () => unknown): Promise<Outcome> {
  let failure: Outcome | undefined;
  try {
    await body();
  } catch (error) {
    failure = { kind: "failed", error: core.destructureError(error) };
  }
  scope.ended = true;
  const incomplete = reportIncomplete(scope);
  if (failure !== undefined) return failure;
  if (incomplete) return { kind: "incompleteSteps" };
  const { length } = ArrayPrototypeFilter(
    scope.steps,
    ({ outcome }: Step) => outcome?.kind !== "ok" && outcome?.kind !== "ignored",
  );
  return length > 0 ? { kind: "failedSteps", count: length } : { kind: "ok" };
}

/** Reports the steps that are still running, as they were not awaited. Returns whether there are any. */
function reportIncomplete(scope: Scope): boolean {
  let incomplete = false;
  for (const step of new SafeArrayIterator(scope.steps)) {
    if (step.outcome !== undefined) continue;
    incomplete = true;
    step.ended = true;
    reportIncomplete(step);
    end(step, { kind: "incomplete" });
  }
  return incomplete;
}

/** Abandons a test that has timed out: the outcomes of its steps are no longer reported. */
function abandon(scope: Scope) {
  scope.ended = true;
  for (const step of new SafeArrayIterator(scope.steps)) {
    step.outcome ??= { kind: "incomplete" };
    abandon(step);
  }
}

function end(step: Step, outcome: Outcome) {
  if (step.outcome !== undefined) return;
  step.outcome = outcome;
  report({ kind: "stepEnded", id: step.id, outcome });
}

function report(event: Parameters<typeof op_openkv_test_event>[0]) {
  op_openkv_test_event(plain(event, "event", MAX_DEPTH));
}

function context(scope: Scope, origin: string, parent: TestContext | undefined): TestContext {
  const name = scope.path[scope.path.length - 1];
  const self: TestContext = {
    [SymbolToStringTag]: "TestContext",
    name,
    origin,
    parent,
    async step(first: unknown, second?: unknown) {
      if (scope.ended) {
        throw new Error(`"${name}" has ended and cannot start another step: await all of its steps`);
      }
      const location = core.currentUserCallSite();
      return await runStep(scope, readStep(first, second), self, location);
    },
  } as TestContext;
  return self;
}

async function runStep(
  parent: Scope,
  definition: StepDefinition,
  parentContext: TestContext,
  location: Location,
): Promise<boolean> {
  const { fn, name } = definition;
  const step: Step = { id: ++lastStep, path: ArrayPrototypeConcat(parent.path, name), steps: [], ended: false };
  ArrayPrototypePush(parent.steps, step);
  report({ kind: "stepStarted", id: step.id, name, path: parent.path, location });
  if (definition.ignore) {
    end(step, { kind: "ignored" });
    return false;
  }
  const self = context(step, parentContext.origin, parentContext);
  const outcome = await run(step, () => fn(self));
  end(step, outcome);
  return outcome.kind === "ok";
}
