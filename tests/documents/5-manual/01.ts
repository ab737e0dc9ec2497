//# because `res` is declared twice: the part after the deletion in its own scope
import { contents, equal, output } from "../harness.ts";

//# block 1-13
{
  //# block 15-18
}

equal(output(), ['[ "users", "alice" ]', '{ name: "Alice" }', '[ "users", "alice" ]', "null"]);
equal(await contents(kv), []);
