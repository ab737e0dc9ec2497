// Opens the database, counts the visit, and closes it, repeatedly for a number of seconds. With 0 seconds, visits once and exits
// without closing. Prints the number of visits.
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
