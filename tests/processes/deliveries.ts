// Prints how many numbers were delivered, and the total number of deliveries.
const kv = await Deno.openKv(Deno.args[0]);
let numbers = 0;
let deliveries = 0n;
for await (const { value } of kv.list<Deno.KvU64>({ prefix: ["deliveries"] })) {
  numbers++;
  deliveries += value.value;
}
console.log(numbers, deliveries);
kv.close();
