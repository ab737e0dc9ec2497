// Get current value with version
const result = await kv.get(["counter", "visits"]);

if (result.value !== null) {
  // Update only if version matches
  const updated = await kv.atomic()
    .check(result)  // Version check
    .set(["counter", "visits"], result.value + 1)
    .commit();
  
  if (!updated.ok) {
    console.log("Update failed: value was modified");
  }
}
