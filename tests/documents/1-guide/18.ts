import { contents, equal, memory, output } from "../harness.ts";

//# block

const settings = { theme: "light", notifications: true };
const kv = await memory();
for (const id of ["alice", "bob", "carol"]) await kv.set(["users", id], { id });
await kv.set(["teams", "red"], {});
const migrated = [
  [["meta", "version"], 1],
  [["teams", "red"], {}],
  [["users", "alice"], { id: "alice" }],
  [["users", "alice", "settings"], settings],
  [["users", "bob"], { id: "bob" }],
  [["users", "bob", "settings"], settings],
  [["users", "carol"], { id: "carol" }],
  [["users", "carol", "settings"], settings],
];
await runMigrations(kv);
equal(output(), ["Migration 1 completed"]);
equal(await contents(kv), migrated);

// It runs only once: later changes are kept.
await kv.set(["users", "bob", "settings"], "changed");
await runMigrations(kv);
equal(output(), []);
equal((await kv.get(["users", "bob", "settings"])).value, "changed");

// Migrations that have already run are skipped.
migrations.push({ version: 2, up: async (kv) => void await kv.set(["teams", "blue"], {}) });
await runMigrations(kv);
equal(output(), ["Migration 2 completed"]);
equal(await contents(kv, ["teams"]), [[["teams", "blue"], {}], [["teams", "red"], {}]]);
equal((await kv.get(["meta", "version"])).value, 2);
equal((await kv.get(["users", "bob", "settings"])).value, "changed");

// It writes below the prefix that it lists. A list reads a hundred entries at a time, so that the settings of the last user
// of each hundred are the next entry, and get settings themselves: two for 250 users.
const large = await memory();
const ids = Array.from({ length: 250 }, (_, number) => `user${100 + number}`);
for (const id of ids) await large.set(["users", id], { id });
await runMigrations(large);
const keys = (await contents(large, ["users"])).map(([key]) => key.slice(1));
equal(keys.filter((key) => key.length === 1), ids.map((id) => [id]));
equal(keys.filter((key) => key.length === 2), ids.map((id) => [id, "settings"]));
equal(keys.filter((key) => key.length > 2), ["user199", "user298"].map((id) => [id, "settings", "settings"]));
