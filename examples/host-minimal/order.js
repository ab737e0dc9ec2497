// Orders pens. Rust fills the stock before, confirms the order through the queue, and receives the thanks afterwards.

const print = (...what) => Deno.core.print(`${what.join(" ")}\n`);
const kv = await Deno.openKv();

const stock = await kv.get(["stock", "pens"]);
print("stock:", stock.value);

await kv.set(["customers", "bob"], { name: "Bob" });
await kv.set(["customers", "alice"], { name: "Alice" });
for await (const { key, value } of kv.list({ prefix: ["customers"] })) print("customer:", key[1], value.name);

const { ok } = await kv.atomic()
  .check(stock)
  .set(["stock", "pens"], new Deno.KvU64(stock.value.value - 3n))
  .set(["orders", 1], { customer: "alice", pens: 3 })
  .commit();
print("ordered:", ok);

const other = await Deno.openKv();
await kv.listenQueue((message) => {
  print("message:", message);
  kv.close();
});
await other.enqueue("thanks");

// This host does not offer these.
for (const attempt of [() => Deno.openKv("other.sqlite3"), () => other.watch([["orders", 1]])]) {
  try {
    await attempt();
  } catch (error) {
    print(`${error.name}: ${error.message}`);
  }
}
