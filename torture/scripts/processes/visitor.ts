// Opens the database, counts the visit, and closes it, again and again for so many seconds. For none, it comes once and leaves
// without closing. Prints how often it came.
const [path, seconds] = Deno.args;
const end = performance.now() + Number(seconds) * 1000;
let visits = 0;
do {
  const kv = await Deno.openKv(path);
  await kv.atomic().sum(["visits"], 1n).commit();
  visits++;
  if (Number(seconds) > 0) kv.close();
} while (performance.now() < end);
console.log(visits);
if (Number(seconds) === 0) Deno.exit();
