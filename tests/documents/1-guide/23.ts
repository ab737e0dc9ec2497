import { contents, equal } from "../harness.ts";

//# block

// It needs no flag, and the data persists.
await kv.set(["works"], "identically");
kv.close();
equal(await contents(await Deno.openKv()), [[["works"], "identically"]]);
