async function transferFunds(
  fromUserId: string,
  toUserId: string,
  amount: number
): Promise<boolean> {
  // Get current balances
  const fromAccount = await kv.get<number>(["accounts", fromUserId, "balance"]);
  const toAccount = await kv.get<number>(["accounts", toUserId, "balance"]);
  
  if (!fromAccount.value || !toAccount.value) {
    return false;
  }
  
  if (fromAccount.value < amount) {
    return false; // Insufficient funds
  }
  
  // Perform atomic transfer
  const result = await kv.atomic()
    .check(fromAccount)  // Ensure from account hasn't changed
    .check(toAccount)    // Ensure to account hasn't changed
    .set(["accounts", fromUserId, "balance"], fromAccount.value - amount)
    .set(["accounts", toUserId, "balance"], toAccount.value + amount)
    .set(["transactions", crypto.randomUUID()], {
      from: fromUserId,
      to: toUserId,
      amount: amount,
      timestamp: new Date(),
      status: "completed"
    })
    .commit();
  
  return result.ok;
}
