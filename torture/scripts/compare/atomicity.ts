// Commits that are rejected, as one of their mutations cannot be done: how many, and how many of the others were done.
import { figure } from "./figure.ts";

const [path, times] = Deno.args;
const kv = await Deno.openKv(path);
await kv.set(["text"], "no number");

const refused: [string, (atomic: Deno.AtomicOperation) => Deno.AtomicOperation][] = [
  ["sum", (atomic) => atomic.sum(["text"], 1n)],
  ["min", (atomic) => atomic.min(["text"], 1n)],
  ["max", (atomic) => atomic.max(["text"], 1n)],
];

/** Commits so often, a hundred at once. Returns how many were rejected. */
async function rejected(build: (i: number) => Deno.AtomicOperation): Promise<number> {
  let rejected = 0;
  for (let i = 0; i < Number(times); i += 100) {
    const some = Array.from({ length: Math.min(100, Number(times) - i) }, (_, j) => build(i + j).commit());
    rejected += (await Promise.allSettled(some)).filter(({ status }) => status === "rejected").length;
  }
  return rejected;
}

async function count(prefix: string): Promise<number> {
  let count = 0;
  for await (const _ of kv.list({ prefix: [prefix] })) count++;
  return count;
}

function tell(what: string, rejected: number, done: number) {
  const kept = rejected === Number(times) && done === 0;
  figure(what, `${rejected} of ${times} rejected, ${done} written`, kept);
}

for (const [name, refuse] of refused) {
  const before = await rejected((i) => refuse(kv.atomic().set([`before ${name}`, i], 1)));
  tell(`\`set\`, then \`${name}\` of a string`, before, await count(`before ${name}`));
}
const after = await rejected((i) => refused[0][1](kv.atomic()).set(["after", i], 1));
tell("`sum` of a string, then `set`", after, await count("after"));

for (let i = 0; i < Number(times); i++) await kv.set(["kept", i], 1);
const deleting = await rejected((i) => refused[0][1](kv.atomic().delete(["kept", i])));
const deleted = Number(times) - await count("kept");
const kept = deleting === Number(times) && deleted === 0;
figure("`delete`, then `sum` of a string", `${deleting} of ${times} rejected, ${deleted} deleted`, kept);

const sums = await rejected((i) => refused[0][1](kv.atomic().sum(["number"], 1n).set(["between", i], 1)));
const sum = (await kv.get<Deno.KvU64>(["number"])).value?.value ?? 0n;
tell("`sum` of a number, `set`, then `sum` of a string", sums, Number(sum) + await count("between"));

// The messages are counted in the file.
const enqueueing = await rejected((i) => refused[0][1](kv.atomic().enqueue(i)));
console.log(enqueueing);
kv.close();
