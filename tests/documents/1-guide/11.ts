import { after, equal, memory } from "../harness.ts";

const kv = await memory();

//# block

equal(success, true);
equal((await kv.get(["counter", "visits"])).value, 1);

// Three that update at once, with three tries each: who fails has lost to one of the two others, so all succeed in the end,
// and nothing is lost.
const increment = () => updateWithRetry<number>(["counter", "visits"], (current) => current! + 1);
equal(await Promise.all([increment(), increment(), increment()]), [true, true, true]);
equal((await kv.get(["counter", "visits"])).value, 4);

// The waits need not pass to be seen.
let waits: number[] = [];
globalThis.setTimeout = ((resolve: () => void, wait: number) => {
  waits.push(wait);
  resolve();
}) as typeof setTimeout;

// A rival who writes after each of the first two reads: the third try succeeds.
let writes = 2;
after(kv, "get", async () => {
  if (writes-- > 0) await kv.set(["counter", "visits"], 100);
});
equal(await increment(), true);
equal(waits, [100, 200]);
equal((await kv.get(["counter", "visits"])).value, 101);

// A rival who always writes: it gives up after as many tries as it may make, and has written nothing.
waits = [];
writes = Infinity;
const rivals: Array<number | null> = [];
equal(await updateWithRetry<number>(["counter", "visits"], (current) => (rivals.push(current), -1), 5), false);
equal(waits, [100, 200, 400, 800, 1600]);
equal(rivals, [101, 100, 100, 100, 100]);
equal((await kv.get(["counter", "visits"])).value, 100);
