import { contents, equal, memory } from "../harness.ts";

async function count(kv: Deno.Kv) {
  //# block
  return result.ok;
}

const kv = await memory();
const counted = (score: bigint) => [
  [["stats", "highScore"], new Deno.KvU64(score)],
  [["stats", "pageViews"], new Deno.KvU64(1n)],
];
equal(await count(kv), true);
equal(await contents(kv), counted(1000n));

await kv.set(["stats", "highScore"], new Deno.KvU64(999n));
await count(kv);
equal(await contents(kv), counted(1000n));

await kv.set(["stats", "highScore"], new Deno.KvU64(1001n));
await count(kv);
equal(await contents(kv), counted(1001n));
