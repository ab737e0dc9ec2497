// Counts two numbers up together in every commit, beside entries that make the file large, until it is stopped. Prints a line
// once it has begun.
const kv = await Deno.openKv(Deno.args[0]);
for (let i = 0; ; i++) {
  const filler = new Uint8Array(5000).fill(i % 256);
  await kv.atomic().sum(["first"], 1n).set(["filler", i % 2000], filler).sum(["second"], 1n).commit();
  if (i === 0) console.log("writing");
}
