import { equal, memory } from "../harness.ts";

const kv = await memory();

//# block

await kv.set(["user", userId], user);
const { value } = await kv.get(["user", "1"]);
equal(value, { id: "1", name: "John Doe", email: "john@doe.com", phone: "2071231234" });
