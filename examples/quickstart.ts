// Opens the default database of the script, writes, reads, lists and commits. The second run continues the count.
const kv = await Deno.openKv();

await kv.set(["users", "alice"], { name: "Alice" });
await kv.set(["users", "bob"], { name: "Bob" });
console.log((await kv.get(["users", "alice"])).value);

for await (const { key, value } of kv.list({ prefix: ["users"] })) console.log(key, value);

const { ok } = await kv.atomic().sum(["runs"], 1n).commit();
console.log("committed:", ok, "run:", (await kv.get<Deno.KvU64>(["runs"])).value);
