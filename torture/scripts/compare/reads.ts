// Measures reads while commits are in flight.
import { figure, median } from "./figure.ts";

const [path, times] = Deno.args;
const kv = await Deno.openKv(path);
await kv.set(["read"], 1);
await kv.get(["read"]);
const commits = Array.from({ length: Number(times) }, (_, i) => kv.set(["number", i], new Uint8Array(1000)));
let committed = false;
const all = Promise.all(commits).then(() => committed = true);
const waits: number[] = [];
while (!committed) {
  const begin = performance.now();
  await kv.get(["read"]);
  waits.push(performance.now() - begin);
}
await all;
kv.close();
figure("concurrent `get`, median", `${median(waits).toFixed(3)} ms`);
figure("concurrent `get`, longest", `${Math.max(...waits).toFixed(1)} ms`);
