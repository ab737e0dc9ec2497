import { equal, memory } from "../harness.ts";

const kv = await memory();
const userId = "1";
const user = { name: "John Doe", phone: "2071231234" };
const created = await kv.set(["user", userId], user);

//# block

const { value, versionstamp } = await kv.get(["user", "1"]);
equal(value, { name: "John Doe", phone: "5182349876" });
equal(result, { ok: true, versionstamp });
// "A new versionstamp will always be larger than the previous one".
equal(versionstamp! > created.versionstamp, true);
