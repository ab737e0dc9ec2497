import { equal, memory } from "../harness.ts";

interface User {
  name: string;
}

const kv = await memory();
const userId = "1";
const user = { name: "John Doe" };

//# block

equal((await kv.get(["user", "1"])).value, user);

// The result "contains a boolean `ok` field and a `versionstamp` field": the versionstamp of the entry.
const result = await kv.set(["user", "1"], { name: "Joan Doe" });
const { versionstamp } = await kv.get(["user", "1"]);
equal(result, { ok: true, versionstamp });
