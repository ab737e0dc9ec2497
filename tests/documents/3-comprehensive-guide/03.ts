//# because `<userRole>` and `<userId>` stand for a role and an id
import { contents, equal, memory } from "../harness.ts";

const kv = await memory();
for (const [userRole, userId] of [["guest", "c"], ["admin", "b"], ["admin", "a"]]) {
  //# replace `<userRole>` with `userRole`
  //# replace `<userId>` with `userId`
  //# block
  await kv.set(userRoleKey, userId);
}

equal((await contents(kv, ["user_by_role", "admin"])).map(([, value]) => value), ["a", "b"]);
equal((await contents(kv, ["user_by_role", "guest"])).map(([, value]) => value), ["c"]);
