// Measures a bulk load in no order: openkv run -A benches/scale/random.ts DIRECTORY ENTRIES
// Prints a line of JSON: operations per second, and MiB.
import { BULK, user, userKey } from "../users.ts";
import { mebibytes, perSecond, time } from "./scale.ts";

/** A prime, with which a multiplication permutes the numbers of the entries. */
const PRIME = 7_368_787;

const entries = Number(Deno.args[1]);
using kv = await Deno.openKv(`${Deno.args[0]}/kv.sqlite3`);
const load = await time(entries, async () => {
  for (let first = 0; first < entries; first += BULK) {
    const atomic = kv.atomic();
    for (let i = first; i < first + BULK; i++) atomic.set(userKey(i * PRIME % entries), user(i));
    await atomic.commit();
  }
});
console.log(JSON.stringify({ load: perSecond(load), memory: mebibytes(Deno.memoryUsage().rss) }));
