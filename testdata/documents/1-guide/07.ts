const atomic = kv.atomic();

// Multiple operations in one transaction
atomic
  .set(["accounts", "alice", "balance"], 950)
  .set(["accounts", "bob", "balance"], 1050)
  .set(["transactions", crypto.randomUUID()], {
    from: "alice",
    to: "bob",
    amount: 50,
    timestamp: new Date()
  });

const result = await atomic.commit();

if (result.ok) {
  console.log("Transaction completed successfully");
} else {
  console.log("Transaction failed");
}
