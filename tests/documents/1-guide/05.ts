import { after, contents, equal, memory, output } from "../harness.ts";

async function visit(kv: Deno.Kv) {
  //# block
}

const kv = await memory();
await visit(kv);
equal(await contents(kv), []);

await kv.set(["counter", "visits"], 41);
await visit(kv);
equal(await contents(kv), [[["counter", "visits"], 42]]);
equal(output(), []);

after(kv, "get", () => kv.set(["counter", "visits"], 1000));
await visit(kv);
equal(output(), ["Update failed: value was modified"]);
equal(await contents(kv), [[["counter", "visits"], 1000]]);
