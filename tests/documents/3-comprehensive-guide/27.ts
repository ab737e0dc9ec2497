import { equal, memory, stored } from "../harness.ts";

const kv = await memory();

//# block

await stored(kv);
const { value: id } = await kv.get<number>(["user_by_email", "jdoe@example.com"]);
equal(id, 1);
equal((await kv.get(["user", id!])).value, { id: 1, name: "John Doe", email: "jdoe@example.com" });
