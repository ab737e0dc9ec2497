import { equal, memory } from "../harness.ts";

interface User {
  id: string;
  name: string;
}

//# block

const kv = await memory();
const typed = new TypedKV(kv);
const users = ["carol", "alice", "bob"].map((id) => ({ id, name: id.toUpperCase() }));
equal(await typed.getUser("alice"), null);
for (const user of users) await typed.setUser(user);
equal(await typed.getUser("alice"), { id: "alice", name: "ALICE" });
equal((await kv.get(["users", "bob"])).value, { id: "bob", name: "BOB" });

// Ordered by key, not by insertion.
equal(await Array.fromAsync(typed.listUsers()), [users[1], users[2], users[0]]);

await typed.setUser({ id: "alice", name: "Alice" });
equal(await typed.getUser("alice"), { id: "alice", name: "Alice" });
await typed.deleteUser("alice");
equal(await typed.getUser("alice"), null);
equal(await Array.fromAsync(typed.listUsers()), [users[2], users[0]]);
