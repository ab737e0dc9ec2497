// Open a KV connection returning a Deno.Kv instance
const kv: Deno.Kv = await Deno.openKv();
