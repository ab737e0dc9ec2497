// Measures a queue with a backlog: openkv run -A benches/scale/backlog.ts DIRECTORY MESSAGES
// Prints a line of JSON: operations per second, and MiB.
import { BULK, user } from "../users.ts";
import { mebibytes, perSecond, time } from "./scale.ts";

const messages = Number(Deno.args[1]);
const kv = await Deno.openKv(`${Deno.args[0]}/kv.sqlite3`);
const enqueue = await time(messages, async () => {
  for (let first = 0; first < messages; first += BULK) {
    const atomic = kv.atomic();
    for (let i = first; i < first + BULK; i++) atomic.enqueue(user(i));
    await atomic.commit();
  }
});

// From the call of `listenQueue` to the last call of the handler.
let listening = Promise.resolve();
const handle = await time(messages, () =>
  new Promise<void>((resolve) => {
    let left = messages;
    listening = kv.listenQueue(() => {
      if (--left === 0) resolve();
    });
  }));
const memory = mebibytes(Deno.memoryUsage().rss);
console.log(JSON.stringify({ enqueue: perSecond(enqueue), handle: perSecond(handle), memory }));
kv.close();
await listening;
