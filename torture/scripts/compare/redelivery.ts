// Handles the messages of a queue until its input ends. It prints "acknowledged" for each that was handled, and at the end
// what happened altogether, and to those that were in flight when the listener before it was killed.
import { sleep } from "./figure.ts";

const [path, killed] = Deno.args;
const kv = await Deno.openKv(path);

async function numbers(prefix: string): Promise<number[]> {
  const numbers = [];
  for await (const { key } of kv.list({ prefix: [prefix] })) numbers.push(key[1] as number);
  return numbers;
}

const inDelivery = new Set(await numbers("started"));
for (const number of await numbers("acknowledged")) inDelivery.delete(number);
const delays: number[] = [];

kv.listenQueue(async (number: number) => {
  if (inDelivery.delete(number)) delays.push(Date.now() - Number(killed));
  if ((await kv.get(["acknowledged", number])).value !== null) await kv.atomic().sum(["again"], 1n).commit();
  await kv.set(["started", number], 1);
  await sleep(20 + Math.random() * 180);
  await kv.set(["handled", number], 1);
  // After the handler. Whoever has seen this write may rely on it that the message does not come again.
  setTimeout(async () => {
    await kv.set(["acknowledged", number], 1);
    console.log("acknowledged");
  });
});
await Deno.stdin.read(new Uint8Array(1));
const handled = (await numbers("handled")).length;
const again = Number((await kv.get<Deno.KvU64>(["again"])).value?.value ?? 0n);
console.log(JSON.stringify({ handled, again, delays }));
Deno.exit();
