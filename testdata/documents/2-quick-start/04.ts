await kv.set(["users", "alice"], { name: "Alice" });

// With expiration (in milliseconds)
await kv.set(["sessions", sessionId], data, { expireIn: 3600000 }); // 1 hour
