// Measures a number of watchers, each of its own key: openkv run -A benches/scale/watchers.ts DIRECTORY WATCHERS
// Prints a line of JSON: operations per second, and MiB.
import { expect, repeat } from "../rate.ts";
import { mebibytes, perSecond, time } from "./scale.ts";

const count = Number(Deno.args[1]);
const kv = await Deno.openKv(`${Deno.args[0]}/kv.sqlite3`);
const keys = Array.from({ length: count }, (_, i) => ["watched", i]);

// From the call of `watch` to its first item.
let watchers: ReadableStreamDefaultReader<Deno.KvEntryMaybe<unknown>[]>[] = [];
const start = await time(count, async () => {
  watchers = keys.map((key) => kv.watch([key]).getReader());
  for (const watcher of watchers) expect((await watcher.read()).value?.[0].value === null);
});

/** Sets a key, until it is acknowledged and its watcher has seen it. */
const change = await repeat(1, async (step) => {
  const i = step * 7919 % count;
  const seen = async () => {
    while ((await watchers[i].read()).value?.[0].value !== step);
  };
  await Promise.all([seen(), kv.set(keys[i], step)]);
});
console.log(
  JSON.stringify({
    start: perSecond(start),
    change: perSecond(change),
    memory: mebibytes(Deno.memoryUsage().rss),
  }),
);
// Leaves the watchers to the end of the process.
Deno.exit();
