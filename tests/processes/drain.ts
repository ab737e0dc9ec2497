// Counts the deliveries of each number in the database, up to a total count.
const [path, count] = Deno.args;
const kv = await Deno.openKv(path);
let handled = 0;
await kv.listenQueue(async (number: number) => {
  await kv.atomic().sum(["deliveries", number], 1n).commit();
  if (++handled === Number(count)) kv.close();
});
