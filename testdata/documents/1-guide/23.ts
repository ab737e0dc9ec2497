// Works identically on Deno Deploy
const kv = await Deno.openKv();
