//# because a function that awaits is not async
import { equal, memory } from "../harness.ts";

interface User {
  name: string;
}
interface Address {
  userId?: string;
  city: string;
}
interface Phone {
  userId?: string;
  cell: string;
}

const kv = await memory();

//# replace `function createUser` with `async function createUser`
//# block

await createUser({ name: "Joan" }, { city: "Portland" }, { cell: "2071231234" });
const entries = await Array.fromAsync(kv.list({ prefix: [] }));
const userId = entries[0].key[1] as string;
equal(entries.map(({ key, value }) => [key, value]), [
  [["address", userId], { city: "Portland", userId }],
  [["phone", userId], { cell: "2071231234", userId }],
  [["user", userId], { name: "Joan" }],
]);
// One transaction: all entries have its versionstamp.
equal(new Set(entries.map(({ versionstamp }) => versionstamp)).size, 1);

// With the same id again, the checks fail, and nothing is written.
crypto.randomUUID = () => userId as ReturnType<typeof crypto.randomUUID>;
await createUser({ name: "Another" }, { city: "Bangor" }, { cell: "2079999999" });
equal(await Array.fromAsync(kv.list({ prefix: [] })), entries);
