// Enqueues the numbers from 0 up to a count.
const [path, count] = Deno.args;
const kv = await Deno.openKv(path);
for (let i = 0; i < Number(count); i += 500) {
  const atomic = kv.atomic();
  for (let j = i; j < Math.min(i + 500, Number(count)); j++) atomic.enqueue(j);
  await atomic.commit();
}
kv.close();
