// Fills the disk that is mounted at "disk", and then frees space.
import { attempt } from "./attempt.ts";

const kv = await Deno.openKv("disk/kv.sqlite3");
const large = new Uint8Array(60000);
let stored = 0;
await attempt("set", async () => {
  for (;; stored++) await kv.set(["fill", stored], large);
});
const count = async () => {
  const entries = await Array.fromAsync(kv.list({ prefix: ["fill"] }));
  console.log(`all stored entries are listed: ${entries.length === stored}`);
};
await count();
await attempt("get", async () => (await kv.get<Uint8Array>(["fill", 0])).value!.length);
await attempt("set", () => kv.set(["fill", stored], large));
await attempt("large set", () => kv.set(["large"], large));
Deno.removeSync("disk/ballast");
console.log("space");
await attempt("set", async () => void await kv.set(["fill", stored], large));
stored++;
await attempt("large set", async () => void await kv.set(["large"], large));
await count();
kv.close();
