// Commits that must be rejected because one of their mutations fails. Counts the rejections, and the other mutations that were applied.
import { figure } from "./figure.ts";

const [path, times] = Deno.args;
const kv = await Deno.openKv(path);
await kv.set(["text"], "not a number");

const failing: [string, (atomic: Deno.AtomicOperation) => Deno.AtomicOperation][] = [
  ["sum", (atomic) => atomic.sum(["text"], 1n)],
  ["min", (atomic) => atomic.min(["text"], 1n)],
  ["max", (atomic) => atomic.max(["text"], 1n)],
];

/** Commits `times` operations, a hundred concurrently. Returns how many were rejected. */
async function countRejected(build: (i: number) => Deno.AtomicOperation): Promise<number> {
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

function report(what: string, rejected: number, written: number) {
  figure(what, `${rejected} of ${times} rejected, ${written} written`, rejected === Number(times) && written === 0);
}

for (const [name, fail] of failing) {
  const before = await countRejected((i) => fail(kv.atomic().set([`before ${name}`, i], 1)));
  report(`\`set\`, then \`${name}\` of a string`, before, await count(`before ${name}`));
}
const after = await countRejected((i) => failing[0][1](kv.atomic()).set(["after", i], 1));
report("`sum` of a string, then `set`", after, await count("after"));

for (let i = 0; i < Number(times); i++) await kv.set(["kept", i], 1);
const deleting = await countRejected((i) => failing[0][1](kv.atomic().delete(["kept", i])));
const deleted = Number(times) - await count("kept");
const holds = deleting === Number(times) && deleted === 0;
figure("`delete`, then `sum` of a string", `${deleting} of ${times} rejected, ${deleted} deleted`, holds);

const sums = await countRejected((i) => failing[0][1](kv.atomic().sum(["number"], 1n).set(["between", i], 1)));
const sum = (await kv.get<Deno.KvU64>(["number"])).value?.value ?? 0n;
report("`sum` of a number, `set`, then `sum` of a string", sums, Number(sum) + await count("between"));

// The caller counts the messages in the file.
const enqueueing = await countRejected((i) => failing[0][1](kv.atomic().enqueue(i)));
console.log(enqueueing);
kv.close();
