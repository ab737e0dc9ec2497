// Creates accounts with 100 each, in a new database.
const [path, accounts] = Deno.args;
const kv = await Deno.openKv(path);
for (let i = 0; i < Number(accounts); i++) await kv.set(["account", i], 100);
kv.close();
