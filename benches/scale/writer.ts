// Sets keys of its own, one by one, beside other processes: openkv run -A benches/scale/writer.ts DIRECTORY NAME MILLISECONDS
// Prints a line when it is ready, begins at a byte of the standard input, and prints a line of JSON: how long each set took, in
// microseconds.
import { user } from "../users.ts";

const [directory, name, milliseconds] = Deno.args;
using kv = await Deno.openKv(`${directory}/kv.sqlite3`);
await kv.set(["writers", name], user(0));
console.log("ready");
await Deno.stdin.read(new Uint8Array(1));

const latencies: number[] = [];
const end = performance.now() + Number(milliseconds);
for (let start = performance.now(); start < end;) {
  await kv.set(["writers", name, latencies.length % 1000], user(latencies.length));
  const now = performance.now();
  latencies.push(Math.round((now - start) * 1000));
  start = now;
}
console.log(JSON.stringify(latencies));
