// Increments two numbers in every commit, together with entries that make the file large, until it is killed. Prints a line after the
// first commit.
const kv = await Deno.openKv(Deno.args[0]);
for (let i = 0; ; i++) {
  const filler = new Uint8Array(5000).fill(i % 256);
  await kv.atomic().sum(["first"], 1n).set(["filler", i % 2000], filler).sum(["second"], 1n).commit();
  if (i === 0) console.log("writing");
}
