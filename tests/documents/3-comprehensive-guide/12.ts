import { contents, equal, memory } from "../harness.ts";

const kv = await memory();
const userId = "1";
await kv.set(["user", "1"], { name: "John Doe" });
await kv.set(["user", "2"], { name: "Joan Doe" });

//# block

equal(await contents(kv), [[["user", "2"], { name: "Joan Doe" }]]);
// "The delete method returns a Promise<void>", also for a missing key.
equal(await kv.delete(["user", "1"]), undefined);
