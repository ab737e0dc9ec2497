import { equal, memory } from "../harness.ts";

interface User {
  id: string;
  email: string;
}

const kv = await memory();

//# block

// One commit writes both entries.
const alice = { id: "alice", email: "alice@example.com" };
await createUserByEmail(alice);
const [user, index] = await kv.getMany<[User, string]>([["users", "alice"], ["users_by_email", "alice@example.com"]]);
equal([user.value, index.value, user.versionstamp], [alice, "alice", index.versionstamp]);
equal(await getUserByEmail("alice@example.com"), alice);
equal(await getUserByEmail("bob@example.com"), null);

for (let item = 0; item < 25; item++) await kv.set(["items", item], `item ${item}`);
await kv.set(["items"], "the prefix itself");
equal(await countItems(["items"]), 25);
equal(await countItems(["items", 3]), 0);
equal(await countItems([]), 28);

// All pages except the last are full, in order, and contain each item once.
const items = Array.from({ length: 25 }, (_, item) => `item ${item}`);
const pages = (size: number) => Array.fromAsync(paginate<string>(["items"], size));
equal(await pages(10), [items.slice(0, 10), items.slice(10, 20), items.slice(20)]);
equal(await pages(5), [0, 5, 10, 15, 20].map((at) => items.slice(at, at + 5)));
equal(await pages(25), [items]);
equal(await pages(100), [items]);
equal(await pages(1), items.map((item) => [item]));
equal(await Array.fromAsync(paginate(["nothing"], 10)), []);

// Falsy values count towards the size of a page, but are omitted.
for (const [at, value] of [0, 1, "", 2].entries()) await kv.set(["falsy", at], value);
equal(await Array.fromAsync(paginate(["falsy"], 2)), [[1], [2]]);
