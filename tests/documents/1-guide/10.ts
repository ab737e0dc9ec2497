import { after, equal, memory, output } from "../harness.ts";

async function update(kv: Deno.Kv, newValue: unknown) {
  //# block
  return updated;
}

const kv = await memory();
const first = await update(kv, "first") as Deno.KvCommitResult;
const second = await update(kv, "second") as Deno.KvCommitResult;
equal(await kv.get(["data", "key"]), { key: ["data", "key"], value: "second", versionstamp: second.versionstamp });
equal(output(), ["Versionstamp: null", `Versionstamp: ${first.versionstamp}`]);
equal(first.versionstamp < second.versionstamp, true);

after(kv, "get", () => kv.set(["data", "key"], "a rival's"));
equal(await update(kv, "third"), { ok: false });
equal((await kv.get(["data", "key"])).value, "a rival's");
