import { after, contents, equal, memory, output } from "../harness.ts";

async function remove(kv: Deno.Kv) {
  //# block
}

async function filled(): Promise<Deno.Kv> {
  const kv = await memory();
  for (let number = 0; number < 150; number++) await kv.set(["temp", number], number);
  for (const id of ["user123", "user124"]) await kv.set(["users", id], { id });
  return kv;
}

const left = [[["users", "user124"], { id: "user124" }]];
const simple = await filled();
await remove(simple);
equal(await contents(simple), left);
equal(output(), []);

// The check matters if the user is written again after the simple delete.
const returning = await filled();
let returned = false;
after(returning, "delete", async () => {
  if (!returned) await returning.set(["users", "user123"], "again");
  returned = true;
});
await remove(returning);
equal(await contents(returning), left);
equal(output(), ["User deleted successfully"]);

// Also if it is written after the read.
const contested = await filled();
let read = false;
after(contested, "delete", async () => {
  if (!read) await contested.set(["users", "user123"], "again");
});
after(contested, "get", async () => {
  read = true;
  await contested.set(["users", "user123"], "and again");
});
await remove(contested);
equal(await contents(contested), [[["users", "user123"], "and again"], ...left]);
equal(output(), []);
