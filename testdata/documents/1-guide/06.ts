// Simple delete
await kv.delete(["users", "user123"]);

// Delete with consistency check
const result = await kv.get(["users", "user123"]);
if (result.value !== null) {
  const deleted = await kv.atomic()
    .check(result)
    .delete(["users", "user123"])
    .commit();
  
  if (deleted.ok) {
    console.log("User deleted successfully");
  }
}

// Delete multiple with prefix (using list and delete)
const entries = kv.list({ prefix: ["temp"] });
for await (const entry of entries) {
  await kv.delete(entry.key);
}
