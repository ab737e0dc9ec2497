// Prints the totals of the database at the end.
const [path] = Deno.args;
const kv = await Deno.openKv(path);
const number = async (key: Deno.KvKey) => Number((await kv.get<number | Deno.KvU64>(key)).value ?? 0);
const values = async (prefix: Deno.KvKey) => {
  const entries = await Array.fromAsync(kv.list<number | Deno.KvU64>({ prefix }));
  return entries.map(({ value }) => Number(value));
};
const total = (numbers: number[]) => numbers.reduce((a, b) => a + b, 0);
const deliveries = await values(["delivered"]);
console.log(JSON.stringify({
  increments: await number(["number"]),
  sums: await number(["sum"]),
  greatest: await number(["greatest"]),
  visits: await number(["visits"]),
  logged: await kv.count({ prefix: ["log"] }),
  money: total(await values(["account"])),
  sent: await number(["sent"]),
  delivered: deliveries.length,
  deliveries: total(deliveries),
}));
kv.close();
