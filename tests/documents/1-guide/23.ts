import { contents, equal } from "../harness.ts";

//# block

// No flag is needed, and what is written stays.
await kv.set(["works"], "identically");
kv.close();
equal(await contents(await Deno.openKv()), [[["works"], "identically"]]);
