// Listens and watches while the wall clock is stepped. Prints "message NUMBER", "change NUMBER", "slow begin" and "slow end",
// "watched NAME STATE" and "read NAME STATE" for expiring entries, which are "present" or "gone", and periodically "date MILLISECONDS".
import { say, sleep } from "./say.ts";

const [path, slow] = Deno.args;
const kv = await Deno.openKv(path);
const NAMES = ["before", "after"];

kv.listenQueue(async (message: number | string) => {
  if (message !== "slow") return say(`message ${message}`);
  say("slow begin");
  await sleep(Number(slow));
  say("slow end");
});

const state = (entry: Deno.KvEntryMaybe<unknown>) => entry.value === null ? "gone" : "present";

async function watch() {
  for await (const [{ value }] of kv.watch([["written"]])) if (value !== null) say(`change ${value}`);
}

async function watchExpiring(name: string) {
  let last = "gone";
  for await (const [entry] of kv.watch([["expiring", name]])) {
    if (state(entry) !== last) say(`watched ${name} ${last = state(entry)}`);
  }
}

async function readExpiring(name: string) {
  let last = "gone";
  while (true) {
    const now = state(await kv.get(["expiring", name]));
    if (now !== last) say(`read ${name} ${last = now}`);
    await sleep(20);
  }
}

watch();
NAMES.forEach(watchExpiring);
NAMES.forEach(readExpiring);
say("ready");
setInterval(() => say(`date ${Date.now()}`), 100);
