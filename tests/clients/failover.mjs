// Writes over one of two servers of a database what it reads over the other one, and checks every result, until its input ends.
// Prints "started" after some writes, "continued" after some more from each line of input on, and at the end a summary.
//   deno run -A --unstable-kv tests/clients/failover.mjs URL URL
import process from "node:process";

const WRITES = 20;

const kvs = await Promise.all(Deno.args.map((url) => Deno.openKv(url)));
let writes = 0, longest = 0, reportAt = Infinity, isOver = false;

process.stdin.on("data", () => reportAt = writes + WRITES);
process.stdin.on("end", () => isOver = true);

function check(what, found, expected) {
  if (found !== expected) throw new Error(`${what} is ${found} after ${expected} writes`);
}

while (!isOver) {
  const [reader, writer] = writes % 2 === 0 ? kvs : [kvs[1], kvs[0]];
  const begin = performance.now();
  const { value, versionstamp } = await reader.get(["writes"]);
  check("the number of writes", value ?? 0, writes);
  const write = writer.atomic().check({ key: ["writes"], versionstamp });
  const { ok } = await write.set(["writes"], writes + 1).sum(["sum"], 1n).set(["log", writes], writes).commit();
  if (!ok) throw new Error(`write ${writes} lost a race without another writer`);
  longest = Math.max(longest, performance.now() - begin);
  writes++;
  if (writes === WRITES) console.log("started");
  if (writes === reportAt) console.log("continued");
}

for (const kv of kvs) {
  check("the sum", Number((await kv.get(["sum"])).value.value), writes);
  let entries = 0;
  for await (const _ of kv.list({ prefix: ["log"] })) entries++;
  check("the number of entries", entries, writes);
  kv.close();
}
console.log(`${writes} writes, none failed; the longest took ${Math.round(longest)} ms`);
process.exit();
