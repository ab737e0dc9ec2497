// Open the default KV database
const kv = await Deno.openKv();

// Open a specific database file (local development)
const kv = await Deno.openKv("./my-database.db");
