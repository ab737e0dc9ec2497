// Initialize a counter
await kv.set(["stats", "pageViews"], new Deno.KvU64(0n));

// Atomic increment
const result = await kv.atomic()
  .mutate({
    type: "sum",
    key: ["stats", "pageViews"],
    value: new Deno.KvU64(1n)
  })
  .commit();

// Atomic min/max operations
await kv.atomic()
  .mutate({
    type: "max",
    key: ["stats", "highScore"],
    value: new Deno.KvU64(1000n)
  })
  .commit();
