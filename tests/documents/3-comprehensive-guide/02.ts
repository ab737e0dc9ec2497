//# because `<userId>` stands for an id
import { contents, equal, memory } from "../harness.ts";

const kv = await memory();
const userId = "a12345";
//# replace `<userId>` with `userId`
//# block

await kv.set(userAdminKey, "an admin");
await kv.set(userCustomerKey, "a customer");
await kv.set(userGuestKey, "a guest");
equal(await contents(kv, ["user", "admin"]), [[["user", "admin", "a12345"], "an admin"]]);
equal(await contents(kv, ["user", "customer"]), [[["user", "customer", "a12345"], "a customer"]]);
equal((await contents(kv, ["user"])).map(([, value]) => value), ["an admin", "a customer", "a guest"]);
