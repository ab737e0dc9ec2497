// Handles the messages of a queue until its input is closed. Prints "acknowledged" for each handled message, and at the end the
// totals and the delays of the messages that were in flight when the previous listener was killed.
import { sleep } from "./figure.ts";

const [path, killed] = Deno.args;
const kv = await Deno.openKv(path);

async function numbers(prefix: string): Promise<number[]> {
  const numbers = [];
  for await (const { key } of kv.list({ prefix: [prefix] })) numbers.push(key[1] as number);
  return numbers;
}

const inFlight = new Set(await numbers("started"));
for (const number of await numbers("acknowledged")) inFlight.delete(number);
const delays: number[] = [];

kv.listenQueue(async (number: number) => {
  if (inFlight.delete(number)) delays.push(Date.now() - Number(killed));
  if ((await kv.get(["acknowledged", number])).value !== null) await kv.atomic().sum(["redelivered"], 1n).commit();
  await kv.set(["started", number], 1);
  await sleep(20 + Math.random() * 180);
  await kv.set(["handled", number], 1);
  // Runs after the handler. Once this write is visible, the message must not be delivered again.
  setTimeout(async () => {
    await kv.set(["acknowledged", number], 1);
    console.log("acknowledged");
  });
});
await Deno.stdin.read(new Uint8Array(1));
const handled = (await numbers("handled")).length;
const redelivered = Number((await kv.get<Deno.KvU64>(["redelivered"])).value?.value ?? 0n);
console.log(JSON.stringify({ handled, redelivered, delays }));
Deno.exit();
