import { after, equal, memory } from "../harness.ts";

const kv = await memory();

//# block

equal(success, true);
equal((await kv.get(["counter", "visits"])).value, 1);

// Three concurrent updates with three attempts each: each can lose to the two others only, so all succeed, and nothing is lost.
const increment = () => updateWithRetry<number>(["counter", "visits"], (current) => current! + 1);
equal(await Promise.all([increment(), increment(), increment()]), [true, true, true]);
equal((await kv.get(["counter", "visits"])).value, 4);

// Records the waits without waiting.
let waits: number[] = [];
globalThis.setTimeout = ((resolve: () => void, wait: number) => {
  waits.push(wait);
  resolve();
}) as typeof setTimeout;

// With a concurrent write after each of the first two reads, the third attempt succeeds.
let writes = 2;
after(kv, "get", async () => {
  if (writes-- > 0) await kv.set(["counter", "visits"], 100);
});
equal(await increment(), true);
equal(waits, [100, 200]);
equal((await kv.get(["counter", "visits"])).value, 101);

// With a concurrent write after every read, it gives up after the maximum number of attempts, and writes nothing.
waits = [];
writes = Infinity;
const rivals: Array<number | null> = [];
equal(await updateWithRetry<number>(["counter", "visits"], (current) => (rivals.push(current), -1), 5), false);
equal(waits, [100, 200, 400, 800, 1600]);
equal(rivals, [101, 100, 100, 100, 100]);
equal((await kv.get(["counter", "visits"])).value, 100);
