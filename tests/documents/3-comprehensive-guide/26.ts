import { contents, equal, memory, stored } from "../harness.ts";

const kv = await memory();

//# block

// The id distinguishes users with the same name.
await kv.set(["user_by_name", "John Smith", 2], { id: 2, name: "John Smith", email: "john@example.com" });
await stored(kv);
equal((await contents(kv, ["user_by_name", "John Smith"])).map(([, user]) => user), [
  { id: 1, name: "John Smith", email: "jsmith@example.com" },
  { id: 2, name: "John Smith", email: "john@example.com" },
]);
