import { contents, equal, memory, output } from "../harness.ts";

const kv = await memory();

//# block

const users = [
  [["users", "alice"], { birthday: "January 1, 1990" }],
  [["users", "sam"], { birthday: "February 14, 1985" }],
  [["users", "taylor"], { birthday: "December 25, 1970" }],
];
equal(output(), users.flat().map((printed) => Deno.inspect(printed)));
equal(await contents(kv), users);
