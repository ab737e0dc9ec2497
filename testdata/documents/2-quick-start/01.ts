// Open the KV store (auto-connects on Deno Deploy)
const kv = await Deno.openKv();

// Store a value
await kv.set(["users", "alice"], { name: "Alice", email: "alice@example.com" });

// Retrieve a value
const result = await kv.get(["users", "alice"]);
console.log(result.value); // { name: "Alice", email: "alice@example.com" }

// Delete a value
await kv.delete(["users", "alice"]);
