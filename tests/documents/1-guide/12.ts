import { equal, memory } from "../harness.ts";

const kv = await memory();
let commits = 0;
const set = kv.set.bind(kv);
kv.set = (key, value) => (commits++, set(key, value));
const users = Array.from({ length: 50 }, (_, number) => ({ id: `user${10 + number}`, number }));

//# block

equal(commits, users.length);
const entries = await Array.fromAsync(kv.list({ prefix: ["users"] }));
equal(entries.map(({ key, value }) => [key, value]), users.map((user) => [["users", user.id], user]));
// The batch was one commit.
equal(new Set(entries.map(({ versionstamp }) => versionstamp)).size, 1);
