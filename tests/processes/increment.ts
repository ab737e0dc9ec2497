// Increments a number with a check and a set, a number of times. Prints how often it lost a race.
const [path, times] = Deno.args;
const kv = await Deno.openKv(path);
let lost = 0;
for (let i = 0; i < Number(times); i++) {
  while (true) {
    const entry = await kv.get<number>(["number"]);
    const result = await kv.atomic().check(entry).set(["number"], (entry.value ?? 0) + 1).commit();
    if (result.ok) break;
    lost++;
  }
}
console.log(lost);
kv.close();
