import { contents, equal, memory, stored } from "../harness.ts";

const kv = await memory();

//# block

await stored(kv);
equal(await contents(kv), [
  [["env", "IS_PROD"], true],
  [["hits", "account.tsx", "a12345"], 254],
  [["user", "a12345"], { id: "a12345", name: "Craig", role: "admin" }],
]);
