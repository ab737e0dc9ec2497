// Lists the users that store.ts stored: openkv run -A benches/list.ts DATABASE
// Measured as a process: its peak memory.
import { countListed, LISTED } from "./users.ts";

using kv = await Deno.openKv(Deno.args[0]);
const count = await countListed(kv.list({ prefix: ["users"] }));
if (count !== LISTED) throw new Error(`${Deno.args[0]} has ${count} users: store.ts stores ${LISTED}`);
