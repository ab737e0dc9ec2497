import { after, contents, equal, memory, output } from "../harness.ts";

async function transfer(kv: Deno.Kv) {
  //# block
  return result.ok;
}

const kv = await memory();
await kv.set(["credits", "alice"], 500);
await kv.set(["credits", "bob"], 0);
equal(await transfer(kv), true);
equal(await contents(kv), [[["credits", "alice"], 400], [["credits", "bob"], 100]]);
equal(output(), []);

// All succeed or all fail.
after(kv, "get", () => kv.set(["credits", "bob"], 7));
equal(await transfer(kv), false);
equal(await contents(kv), [[["credits", "alice"], 400], [["credits", "bob"], 7]]);
equal(output(), ["Transaction failed - data was modified"]);
