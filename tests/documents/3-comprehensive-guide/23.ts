//# because `get` is not awaited
import { contents, equal, memory, throws } from "../harness.ts";

const kv: any = await memory();

// The argument of the check is a promise, which has no key.
async function unchanged() {
  //# block
}
await throws(unchanged, "TypeError", "A key must be an array: received undefined");
equal(await contents(kv), []);

//# replace `kv.get` with `await kv.get`
//# block

const { versionstamp } = await kv.get(["user", userId]);
equal(result, { ok: true, versionstamp });
const [[key, version], ...rest] = await contents(kv, ["user_versionstamp"]) as [Deno.KvKey, any][];
equal(key, ["user_versionstamp", userId, versionstamp]);
equal([version.version, typeof version.date], [versionstamp, "number"]);
equal(rest, []);
