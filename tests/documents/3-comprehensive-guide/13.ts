import { equal, listed, memory } from "../harness.ts";

interface User {
  id: string;
}

const kv = await memory();
await kv.set(["user", "admin", "a"], { id: "a" });
await kv.set(["user", "admin", "b"], { id: "b" });
await kv.set(["user", "guest", "c"], { id: "c" });
await kv.set(["users", "admin", "d"], { id: "d" });

//# block

equal((await listed(iteruser)).map(([, user]) => user.id), ["a", "b", "c"]);
equal((await listed(iterAdmin)).map(([, user]) => user.id), ["a", "b"]);
