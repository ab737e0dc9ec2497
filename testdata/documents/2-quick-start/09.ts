// Persist to a local file
const kv = await Deno.openKv("./my-database.sqlite");
