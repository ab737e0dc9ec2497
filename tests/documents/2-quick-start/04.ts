import { contents, equal, hasten, memory, until } from "../harness.ts";

async function store(kv: Deno.Kv, sessionId: string, data: unknown) {
  //# block
}

const kv = await memory();
const alice = [["users", "alice"], { name: "Alice" }];
await store(kv, "session1", { user: "alice" });
equal(await contents(kv), [[["sessions", "session1"], { user: "alice" }], alice]);

const requested = hasten(kv);
await store(kv, "session1", { user: "alice", again: true });
equal(requested, [60 * 60 * 1000]);
await until(async () => (await kv.get(["sessions", "session1"])).value === null);
equal(await contents(kv), [alice]);
