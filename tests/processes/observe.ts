// Watches the key and receives the messages of ping.ts in another process. Prints the delays of the watch and of the queue in
// milliseconds: their count, median, 99th percentile and maximum.
const [path, times] = Deno.args;
const kv = await Deno.openKv(path);
const delay = (then: number) => performance.timeOrigin + performance.now() - then;
const watched: number[] = [];
const received: number[] = [];

const listening = kv.listenQueue((message: number) => void received.push(delay(message)));
console.log("ready");
for await (const [{ value }] of kv.watch<number[]>([["time"]])) {
  if (value === -1) break;
  if (value !== null) watched.push(delay(value));
}
while (received.length < Number(times)) await new Promise((resolve) => setTimeout(resolve, 10));
kv.close();
await listening;

for (const delays of [watched, received]) {
  delays.sort((a, b) => a - b);
  const at = (share: number) => delays[Math.ceil(share * delays.length) - 1];
  console.log(delays.length, ...[0.5, 0.99, 1].map((share) => Math.round(at(share))));
}
