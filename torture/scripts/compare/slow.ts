// Counts the deliveries of a message while its handler runs.
import { figure, sleep } from "./figure.ts";

const [path, seconds] = Deno.args;
const kv = await Deno.openKv(path);
const deliveries: number[] = [];
await kv.enqueue("slow");
const begin = Date.now();
const done = Promise.withResolvers<void>();
kv.listenQueue(async () => {
  deliveries.push((Date.now() - begin) / 1000);
  await sleep(Number(seconds) * 1000);
  done.resolve();
});
await done.promise;
const times = deliveries.slice(1).map((time) => `after ${time.toFixed(0)} s`).join(", ");
figure(`a handler that runs ${seconds} s: deliveries`, [deliveries.length, times].filter(Boolean).join(", again "), times === "");
Deno.exit();
