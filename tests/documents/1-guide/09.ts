import { after, contents, equal, memory } from "../harness.ts";

const kv = await memory();

//# block

const balances = async () => {
  const accounts = await kv.getMany([["accounts", "alice", "balance"], ["accounts", "bob", "balance"]]);
  return accounts.map((account) => account.value);
};
const transactions = async () => (await contents(kv, ["transactions"])).map(([, value]) => value as any);
await kv.set(["accounts", "alice", "balance"], 100);

// Nothing moves to an account that does not exist, nor more than there is.
equal(await transferFunds("alice", "bob", 10), false);
await kv.set(["accounts", "bob", "balance"], 5);
equal(await transferFunds("alice", "bob", 101), false);
equal([await balances(), await transactions()], [[100, 5], []]);

equal(await transferFunds("alice", "bob", 99), true);
equal(await balances(), [1, 104]);
const [{ timestamp, ...transaction }] = await transactions();
equal(transaction, { from: "alice", to: "bob", amount: 99, status: "completed" });
equal(timestamp instanceof Date, true);

// Of transfers at the same time one wins. The sum of the balances and the number of transactions stay true.
const results = await Promise.all(Array.from({ length: 10 }, () => transferFunds("bob", "alice", 10)));
const done = results.filter((ok) => ok).length;
equal(done >= 1, true);
equal(await balances(), [1 + 10 * done, 104 - 10 * done]);
equal((await transactions()).length, 1 + done);

// A rival who spends between the reads and the commit spoils the transfer: nothing of it is written.
after(kv, "get", () => kv.set(["accounts", "bob", "balance"], 7));
const [alice] = await balances();
equal(await transferFunds("bob", "alice", 5), false);
equal([await balances(), (await transactions()).length], [[alice, 7], 1 + done]);

// "!balance" takes an account that is empty for one that does not exist.
await kv.set(["accounts", "alice", "balance"], 0);
equal(await transferFunds("bob", "alice", 5), false);
