import { contents, equal, memory } from "../harness.ts";

const kv = await memory();
await kv.set(["users", "alice"], { name: "Alice" });
await kv.set(["users", "alice", "settings"], {});

//# block

equal(await kv.get(["users", "alice"]), { key: ["users", "alice"], value: null, versionstamp: null });
equal(await contents(kv), [[["users", "alice", "settings"], {}]]);
