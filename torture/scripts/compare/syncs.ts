// Commits concurrently.
const [path, times] = Deno.args;
const kv = await Deno.openKv(path);
await Promise.all(Array.from({ length: Number(times) }, (_, i) => kv.set(["number", i], i)));
kv.close();
