import { equal, hasten, memory, until } from "../harness.ts";

const kv = await memory();
const fetched: string[] = [];
async function fetchExpensiveData(key: string) {
  fetched.push(key);
  return { key, time: fetched.length };
}

//# block

equal(await getCachedData("a"), { key: "a", time: 1 });
equal(await getCachedData("b"), { key: "b", time: 2 });
equal(await getCachedData("a"), { key: "a", time: 1 });
equal(fetched, ["a", "b"]);

// An expired value is fetched again.
const requested = hasten(kv);
equal(await getCachedData("c"), { key: "c", time: 3 });
equal(requested, [300_000]);
await until(async () => (await getCachedData("c")).time > 3);
equal((await getCachedData("a")).time, 1);
