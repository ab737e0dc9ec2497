// Enqueues the numbers up to a count.
const [path, times] = Deno.args;
const kv = await Deno.openKv(path);
const atomic = kv.atomic();
for (let i = 0; i < Number(times); i++) atomic.enqueue(i);
await atomic.commit();
kv.close();
