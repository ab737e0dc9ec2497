// Runs random programs against the model in `state.ts`: the result of every call must be as if the calls before it, and no others, had
// taken effect. Takes its options as JSON, and prints its results as JSON, with the first failed program, shrunk.
import { execute, type Mismatch } from "./execute.ts";
import { makeProgram, type Program, Random, show } from "./program.ts";

const { databases, seed, programs, length, handles, common } = JSON.parse(Deno.args[0]) as {
  /** What the paths or URLs of databases begin with, or null for databases in memory. */
  databases: string | null;
  seed: number;
  programs: number;
  /** The maximum number of steps of a program. */
  length: number;
  /** The number of open databases of a program. */
  handles: number;
  /** Whether to only use what works in Deno. */
  common: boolean;
};

/** How often to retry a program, which may fail only sometimes, and how long to shrink it, in milliseconds. */
const TRIES = 3, SHRINKING = 10_000;

let opened = 0;

async function run(program: Program): Promise<Mismatch | undefined> {
  const path = databases === null ? ":memory:" : `${databases}${opened++}`;
  const open = () => Promise.all(Array.from({ length: program.handles }, () => Deno.openKv(path)));
  return await execute(program, open, databases !== null);
}

/** Removes steps while the program still fails. */
async function shrink(program: Program, mismatch: Mismatch): Promise<[Program, Mismatch]> {
  const end = performance.now() + SHRINKING;
  const attempt = async (steps: Program["steps"]) => {
    for (let i = 0; i < TRIES && performance.now() < end; i++) {
      const found = await run({ ...program, steps });
      if (found !== undefined) return found;
    }
  };
  for (let size = program.steps.length >> 1; size > 0; size >>= 1) {
    for (let at = 0; at < program.steps.length;) {
      const steps = program.steps.toSpliced(at, size);
      const found = steps.length > 0 ? await attempt(steps) : undefined;
      if (found === undefined) at += size;
      else [program, mismatch] = [{ ...program, steps }, found];
    }
  }
  return [program, mismatch];
}

const wrong: Record<string, number> = {};
let steps = 0, awaited = 0;
let first: string | undefined;
for (let i = 0; i < programs; i++) {
  const program = makeProgram(new Random(Math.imul(seed, 1_000_003) + i), handles, 2 + i % (length - 1), common);
  steps += program.steps.length;
  awaited += program.steps.filter(({ wait }) => wait === "result").length;
  const mismatch = await run(program);
  if (mismatch === undefined) continue;
  wrong[mismatch.kind] = (wrong[mismatch.kind] ?? 0) + 1;
  if (first !== undefined) continue;
  const [short, found] = await shrink(program, mismatch);
  const where = Number.isFinite(found.step) ? `step ${found.step}` : found.kind;
  const closing = short.closesEarly ? ["close"] : [];
  first = [`program ${i}: ${where}: ${found.wrong}`, ...short.steps.map(show), ...closing].join("\n  ");
}
console.log(JSON.stringify({ programs, steps, awaited, wrong, first }));
