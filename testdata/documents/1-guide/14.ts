// For counters, use KvU64
await kv.set(["stats", "counter"], new Deno.KvU64(0n));

// For large binary data, use Uint8Array
const binaryData = new TextEncoder().encode(largeString);
await kv.set(["files", fileId], binaryData);
