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

// Once its time is over, a value is fetched anew.
const asked = hasten(kv);
equal(await getCachedData("c"), { key: "c", time: 3 });
equal(asked, [300_000]);
await until(async () => (await getCachedData("c")).time > 3);
equal((await getCachedData("a")).time, 1);
