import { contents, equal } from "../harness.ts";

//# block

equal(kv instanceof Deno.Kv, true);
await kv.set(["open"], true);
equal(await contents(kv), [[["open"], true]]);
