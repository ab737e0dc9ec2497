// Instead of multiple individual operations
for (const user of users) {
  await kv.set(["users", user.id], user);  // Slow
}

// Use atomic for batch operations
const atomic = kv.atomic();
for (const user of users) {
  atomic.set(["users", user.id], user);
}
await atomic.commit();  // Fast
