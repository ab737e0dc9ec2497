import { equal, memory, output } from "../harness.ts";

const kv = await memory();

//# block

equal(output(), ["Transaction completed successfully"]);
const [alice, bob, transaction] = await Array.fromAsync(kv.list<any>({ prefix: [] }));
equal([alice.key, alice.value], [["accounts", "alice", "balance"], 950]);
equal([bob.key, bob.value], [["accounts", "bob", "balance"], 1050]);
equal(transaction.key.length, 2);
const { timestamp, ...rest } = transaction.value;
equal(rest, { from: "alice", to: "bob", amount: 50 });
equal(timestamp instanceof Date, true);

// One commit wrote all of them.
for (const { versionstamp } of [alice, bob, transaction]) equal({ ok: true, versionstamp }, result);
