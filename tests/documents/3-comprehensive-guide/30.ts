import { equal, memory } from "../harness.ts";

const kv = await memory();
for (let view = 1n; view <= 3n; view++) {
  //# block
  equal((await kv.get(["example_view_counter"])).value, new Deno.KvU64(view));
}
