const result = await kv.get(["data", "key"]);
console.log("Versionstamp:", result.versionstamp);

// Use versionstamp for consistency checks
const updated = await kv.atomic()
  .check(result)  // Only proceed if versionstamp matches
  .set(["data", "key"], newValue)
  .commit();
