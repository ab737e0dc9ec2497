//# because `"<userId>"` and `<user object record>` stand for values, and `ks` for `kv`
import { contents, equal, memory, stored } from "../harness.ts";

const kv = await memory();
const users = [{ id: "2", lastName: "Doe" }, { id: "1", lastName: "Smith" }];
for (const user of users) {
  //# replace `ks` with `kv`
  //# replace `"<userId>"` with `user.id`
  //# replace `<user object record>` with `user`
  //# block
}

await stored(kv);
equal(await contents(kv, ["user"]), [[["user", "1"], users[1]], [["user", "2"], users[0]]]);
