import { after, contents, equal, memory } from "../harness.ts";

const kv = await memory();

//# block

const balances = async () => {
  const accounts = await kv.getMany([["accounts", "alice", "balance"], ["accounts", "bob", "balance"]]);
  return accounts.map((account) => account.value);
};
const transactions = async () => (await contents(kv, ["transactions"])).map(([, value]) => value as any);
await kv.set(["accounts", "alice", "balance"], 100);

// Transfers to a missing account, or of more than the balance, fail.
equal(await transferFunds("alice", "bob", 10), false);
await kv.set(["accounts", "bob", "balance"], 5);
equal(await transferFunds("alice", "bob", 101), false);
equal([await balances(), await transactions()], [[100, 5], []]);

equal(await transferFunds("alice", "bob", 99), true);
equal(await balances(), [1, 104]);
const [{ timestamp, ...transaction }] = await transactions();
equal(transaction, { from: "alice", to: "bob", amount: 99, status: "completed" });
equal(timestamp instanceof Date, true);

// At least one of several concurrent transfers succeeds. The sum of the balances and the number of transactions are consistent.
const results = await Promise.all(Array.from({ length: 10 }, () => transferFunds("bob", "alice", 10)));
const done = results.filter((ok) => ok).length;
equal(done >= 1, true);
equal(await balances(), [1 + 10 * done, 104 - 10 * done]);
equal((await transactions()).length, 1 + done);

// A concurrent write between the reads and the commit makes the transfer fail: it writes nothing.
after(kv, "get", () => kv.set(["accounts", "bob", "balance"], 7));
const [alice] = await balances();
equal(await transferFunds("bob", "alice", 5), false);
equal([await balances(), (await transactions()).length], [[alice, 7], 1 + done]);

// "!balance" treats an empty account as missing.
await kv.set(["accounts", "alice", "balance"], 0);
equal(await transferFunds("bob", "alice", 5), false);
