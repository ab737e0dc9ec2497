//# flags --allow-read=my-database.sqlite --allow-write=my-database.sqlite
import { contents, equal } from "../harness.ts";

//# block

await kv.set(["persists"], true);
kv.close();
equal(await contents(await Deno.openKv("my-database.sqlite")), [[["persists"], true]]);
