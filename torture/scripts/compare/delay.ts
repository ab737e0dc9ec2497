// Measures the delay from `enqueue` to delivery.
import { figure, median, sleep } from "./figure.ts";

const [path, times] = Deno.args;
const kv = await Deno.openKv(path);
const delays: number[] = [];
let received = Promise.withResolvers<void>();
const listening = kv.listenQueue((sent: number) => {
  delays.push(performance.now() - sent);
  received.resolve();
});
for (let i = 0; i < Number(times); i++) {
  received = Promise.withResolvers();
  await kv.enqueue(performance.now());
  await received.promise;
  await sleep(Math.random() * 20);
}
kv.close();
await listening;
figure("from `enqueue` to delivery, median", `${median(delays).toFixed(1)} ms`);
figure("from `enqueue` to delivery, longest", `${Math.max(...delays).toFixed(1)} ms`);
