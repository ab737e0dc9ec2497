//# because the names in angle brackets stand for values, and `ks` for `kv`
import { contents, equal, memory, stored } from "../harness.ts";

const kv = await memory();
const people = ["Smith John 4", "Doe Jane 3", "Smith Ada 5", "Doe Jane 1", "Émile Zoé 2"];
for (const person of people) {
  const [lastName, firstName, id] = person.split(" ");
  const user = { id, person };
  //# replace `ks` with `kv`
  //# replace `"<lastName>"` with `lastName`
  //# replace `"<firstName>"` with `firstName`
  //# replace `"<userId>"` with `user.id`
  //# replace `<user object record>` with `user`
  //# block
}

// By last name, then first name, then id.
await stored(kv);
equal((await contents(kv, ["user"])).map(([, user]: any) => user.person), [
  "Doe Jane 1",
  "Doe Jane 3",
  "Smith Ada 5",
  "Smith John 4",
  "Émile Zoé 2",
]);
