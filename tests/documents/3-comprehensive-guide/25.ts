import { contents, equal, memory, stored } from "../harness.ts";

const kv = await memory();

//# block

await stored(kv);
const user = { id: 1, name: "John Doe", email: "jdoe@example.com" };
equal(await contents(kv), [[["user", 1], user], [["user_by_email", "jdoe@example.com"], user]]);
