// Entries that expire: how many are still seen right after.
import { figure, sleep } from "./figure.ts";

const [path, times, seconds] = Deno.args;
const kv = await Deno.openKv(path);
const timeout = Number(seconds) * 1000;

/** Stores so many entries that expire, and looks at each right after. Returns how many were seen. */
async function seen(group: string, value: unknown, look: (key: string[], versionstamp: string) => Promise<boolean>) {
  const looks = Array.from({ length: Number(times) }, async (_, i) => {
    const key = [group, String(i)];
    const expireIn = 20 + Math.floor(i / Number(times) * 480);
    const { versionstamp } = await kv.set(key, value, { expireIn });
    const gone = Date.now() + expireIn;
    while (Date.now() <= gone) await sleep(gone - Date.now() + 1);
    return await look(key, versionstamp);
  });
  return (await Promise.all(looks)).filter((seen) => seen).length;
}

function tell(what: string, seen: number) {
  figure(what, `${seen} of ${times}`, seen === 0);
}

tell("checks that held", await seen("check", 1, async (key, versionstamp) => {
  return (await kv.atomic().check({ key, versionstamp }).set(["checked"], 1).commit()).ok;
}));
tell("sums that went on from the value", await seen("sum", new Deno.KvU64(10n), async (key) => {
  await kv.atomic().sum(key, 1n).commit();
  return (await kv.get<Deno.KvU64>(key)).value?.value === 11n;
}));
tell("listed", await seen("list", 1, async ([group, i]) => {
  for await (const { key } of kv.list({ prefix: [group] })) if (key[1] === i) return true;
  return false;
}));
let longest = 0;
tell("read", await seen("get", 1, async (key) => {
  const begin = Date.now();
  let seen = 0;
  while ((await kv.get(key)).value !== null && Date.now() < begin + timeout) {
    seen = Date.now() - begin + 1;
    await sleep(100);
  }
  longest = Math.max(longest, seen);
  return seen > 0;
}));
figure("the longest time that an expired value was read", `${(longest / 1000).toFixed(1)} s`, longest === 0);
kv.close();
