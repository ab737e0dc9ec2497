import { equal, memory, output } from "../harness.ts";

interface User {
  name: string;
}

async function show(kv: Deno.Kv) {
  //# block
}

const kv = await memory();
await show(kv);
equal(output(), []);
await kv.set(["users", "alice"], { name: "Alice" });
await show(kv);
equal(output(), ["Alice"]);
