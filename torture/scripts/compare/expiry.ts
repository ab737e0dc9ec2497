// Counts the entries that are visible after they have expired.
import { figure, sleep } from "./figure.ts";

const [path, times, seconds] = Deno.args;
const kv = await Deno.openKv(path);
const timeout = Number(seconds) * 1000;

/** Stores expiring entries, and probes each right after it has expired. Returns how many were visible. */
async function visible(group: string, value: unknown, probe: (key: string[], versionstamp: string) => Promise<boolean>) {
  const probes = Array.from({ length: Number(times) }, async (_, i) => {
    const key = [group, String(i)];
    const expireIn = 20 + Math.floor(i / Number(times) * 480);
    const { versionstamp } = await kv.set(key, value, { expireIn });
    const expiry = Date.now() + expireIn;
    while (Date.now() <= expiry) await sleep(expiry - Date.now() + 1);
    return await probe(key, versionstamp);
  });
  return (await Promise.all(probes)).filter(Boolean).length;
}

function report(what: string, count: number) {
  figure(what, `${count} of ${times}`, count === 0);
}

report("checks that succeeded", await visible("check", 1, async (key, versionstamp) => {
  return (await kv.atomic().check({ key, versionstamp }).set(["checked"], 1).commit()).ok;
}));
report("sums that included the value", await visible("sum", new Deno.KvU64(10n), async (key) => {
  await kv.atomic().sum(key, 1n).commit();
  return (await kv.get<Deno.KvU64>(key)).value?.value === 11n;
}));
report("listed", await visible("list", 1, async ([group, i]) => {
  for await (const { key } of kv.list({ prefix: [group] })) if (key[1] === i) return true;
  return false;
}));
let longest = 0;
report("read", await visible("get", 1, async (key) => {
  const begin = Date.now();
  let seen = 0;
  while ((await kv.get(key)).value !== null && Date.now() < begin + timeout) {
    seen = Date.now() - begin + 1;
    await sleep(100);
  }
  longest = Math.max(longest, seen);
  return seen > 0;
}));
figure("longest time until an expired value disappeared", `${(longest / 1000).toFixed(1)} s`, longest === 0);
kv.close();
