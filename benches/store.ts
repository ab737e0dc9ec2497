// Stores the users that list.ts lists: openkv run -A benches/store.ts DATABASE
import { LISTED, storeUsers } from "./users.ts";

using kv = await Deno.openKv(Deno.args[0]);
await storeUsers(kv, LISTED);
