// Sets a key and enqueues a message, both with the current time, a number of times.
const [path, times] = Deno.args;
const kv = await Deno.openKv(path);
for (let i = 0; i < Number(times); i++) {
  const now = performance.timeOrigin + performance.now();
  await kv.atomic().set(["time"], now).enqueue(now).commit();
  await new Promise((resolve) => setTimeout(resolve, 20 + Math.random() * 30));
}
await kv.set(["time"], -1);
kv.close();
