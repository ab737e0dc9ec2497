//# because `<userid>` and `<userId>` stand for an id, and the second key lacks its "="
import { contents, equal, memory } from "../harness.ts";

const kv = await memory();
const userId = "a12345";
//# replace `<userid>` with `userId`
//# replace `<userId>` with `userId`
//# replace `addressKey [` with `addressKey = [`
//# block

await kv.set(userKey, { name: "Craig" });
await kv.set(addressKey, { city: "Portland" });
equal(await contents(kv), [[["address", "a12345"], { city: "Portland" }], [["user", "a12345"], { name: "Craig" }]]);

// "[1, "user"] is not the same as ["user", 1]".
await kv.set([1, "user"], "this");
await kv.set(["user", 1], "that");
equal([(await kv.get([1, "user"])).value, (await kv.get(["user", 1])).value], ["this", "that"]);
