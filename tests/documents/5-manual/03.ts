import { contents, equal, memory, output } from "../harness.ts";

async function insert(kv: Deno.Kv) {
  //# block
  return res.ok;
}

const kv = await memory();
equal(await insert(kv), true);
equal(output(), ["User did not yet exist. Inserted!"]);
equal(await contents(kv), [[["users", "alice"], { birthday: "January 1, 1990" }]]);

// An existing user is not changed. The code checks `res` instead of `res.ok`, and so prints the same.
await kv.set(["users", "alice"], "another");
equal(await insert(kv), false);
equal(output(), ["User did not yet exist. Inserted!"]);
equal(await contents(kv), [[["users", "alice"], "another"]]);
