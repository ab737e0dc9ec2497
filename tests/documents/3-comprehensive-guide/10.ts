import { equal, memory } from "../harness.ts";

interface User {
  name: string;
}

async function find(kv: Deno.Kv, userId: string) {
  //# block
  return foundUser;
}

const kv = await memory();
const { versionstamp } = await kv.set(["user", "1"], { name: "John Doe" });
equal(await find(kv, "1"), { key: ["user", "1"], value: { name: "John Doe" }, versionstamp });
equal(await find(kv, "2"), { key: ["user", "2"], value: null, versionstamp: null });

// The consistency "is not relevant since the KV store is local".
for (const consistency of ["strong", "eventual"] as const) {
  equal((await kv.get(["user", "1"], { consistency })).versionstamp, versionstamp);
}
