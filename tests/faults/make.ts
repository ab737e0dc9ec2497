// Creates a database with an entry ["a"] and 300 more.
const kv = await Deno.openKv(Deno.args[0]);
await kv.set(["a"], 1);
await Promise.all(Array.from({ length: 300 }, (_, i) => kv.set(["fill", i], new Uint8Array(3000))));
kv.close();
