import { equal, memory } from "../harness.ts";

const kv = await memory();

//# block

const user: User = { id: "1", name: "John Doe", email: "john@doe.com" };
await kv.set(["user", user.id], user);
equal((await kv.get<User>(["user", "1"])).value, user);
