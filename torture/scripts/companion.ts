// Writes to a file that other processes use, until it receives a line: entries of its own, and a sum. Prints the number of sums
// that were acknowledged. Runs under Deno, whose writes fail while it waits too long for the lock of the file.
const kv = await Deno.openKv(Deno.args[0]);
let ends = false;
const end = Deno.stdin.read(new Uint8Array(1)).then(() => ends = true);
let sums = 0;
while (!ends) {
  try {
    await kv.atomic().set(["companion", sums % 100], { sums }).sum(["companion"], 1n).commit();
    sums++;
  } catch (error) {
    if (!/locked|busy/.test(String(error))) throw error;
  }
}
await end;
console.log(sums);
kv.close();
