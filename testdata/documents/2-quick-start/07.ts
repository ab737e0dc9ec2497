// Transfer credits between users
const alice = await kv.get<number>(["credits", "alice"]);
const bob = await kv.get<number>(["credits", "bob"]);

const result = await kv.atomic()
  .check(alice) // Ensure alice hasn't changed
  .check(bob)   // Ensure bob hasn't changed
  .set(["credits", "alice"], alice.value! - 100)
  .set(["credits", "bob"], bob.value! + 100)
  .commit();

if (!result.ok) {
  console.log("Transaction failed - data was modified");
}
