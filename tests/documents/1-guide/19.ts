import { equal, memory, stopClock } from "../harness.ts";

//# block

const kv = await memory();
const clock = stopClock();
const queue = new Queue<unknown>(kv, "mail");
const other = new Queue<unknown>(kv, "other");
equal([await queue.dequeue(), await queue.size()], [null, 0]);

// First in, first out, by time; and each queue has its own items.
const items = ["first", { second: 2 }, [3], "fourth"];
for (const item of items) {
  await queue.enqueue(item);
  await other.enqueue("another's");
  clock.now++;
}
equal(await queue.size(), items.length);
for (const [at, item] of items.entries()) {
  equal(await queue.dequeue(), item);
  equal(await queue.size(), items.length - at - 1);
}
equal([await queue.dequeue(), await queue.size(), await other.size()], [null, 0, items.length]);

// A clock with more digits does not change the order: timestamps are numbers in the key, not strings.
clock.now = 9_999_999_999_999;
await queue.enqueue("earlier");
clock.now++;
await queue.enqueue("later");
equal([await queue.dequeue(), await queue.dequeue()], ["earlier", "later"]);

// Concurrent calls of dequeue see the same item. One of them gets it; the others get null, and retry.
const taken: unknown[] = [];
for (let item = 1; item <= 30; item++) {
  clock.now++;
  await queue.enqueue(item);
}
const worker = async () => {
  while (await queue.size() > 0) {
    const item = await queue.dequeue();
    if (item !== null) taken.push(item);
  }
};
await Promise.all([worker(), worker(), worker()]);
equal(taken.toSorted((a, b) => Number(a) - Number(b)), Array.from({ length: 30 }, (_, at) => at + 1));

// A falsy item is removed and lost, because the code checks whether `entry.value` is truthy.
await queue.enqueue(0);
equal([await queue.size(), await queue.dequeue(), await queue.size()], [1, null, 0]);
