// Measures a file with a number of entries: openkv run -A benches/scale/entries.ts DIRECTORY ENTRIES
// Prints a line of JSON: operations per second, and MiB.
import { expect, type Rate, repeat } from "../rate.ts";
import { countListed, storeUsers, userKey } from "../users.ts";
import { mebibytes, perSecond, time } from "./scale.ts";

/** The maximum number of entries that are listed. */
const LISTED = 1_000_000;

const path = `${Deno.args[0]}/kv.sqlite3`;
const entries = Number(Deno.args[1]);
const kv = await Deno.openKv(path);
let seed = 1;

/** Returns a pseudo-random number below a bound, by a linear congruential generator. */
function random(bound: number): number {
  seed = (Math.imul(seed, 1_664_525) + 1_013_904_223) >>> 0;
  return Math.floor(seed / 2 ** 32 * bound);
}

/** Awaited gets of random keys. */
function get(): Promise<Rate> {
  return repeat(100, async () => {
    for (let i = 0; i < 100; i++) expect((await kv.get(userKey(random(entries)))).value !== null);
  });
}

/** Lists of 10 entries from random keys on. */
function limit(): Promise<Rate> {
  return repeat(10, async () => {
    for (let i = 0; i < 10; i++) {
      const start = userKey(random(entries - 10));
      expect(await countListed(kv.list({ prefix: ["users"], start }, { limit: 10 })) === 10);
    }
  });
}

const load = await time(entries, () => storeUsers(kv, entries));
const listed = Math.min(entries, LISTED);
console.log(JSON.stringify({
  load: perSecond(load),
  get: perSecond(await get()),
  limit: perSecond(await limit()),
  list: perSecond(
    await time(listed, async () => {
      expect(await countListed(kv.list({ prefix: ["users"] }, { limit: listed })) === listed);
    }),
  ),
  memory: mebibytes(Deno.memoryUsage().rss),
  file: mebibytes((await Deno.stat(path)).size + (await Deno.stat(`${path}-wal`)).size),
}));
kv.close();
