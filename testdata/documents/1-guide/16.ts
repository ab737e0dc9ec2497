// Use consistent, hierarchical key structures
const keyPatterns = {
  user: (id: string) => ["users", id],
  userProfile: (id: string) => ["users", id, "profile"],
  userSettings: (id: string) => ["users", id, "settings"],
  session: (token: string) => ["sessions", token],
  cache: (type: string, id: string) => ["cache", type, id]
};

// Usage
await kv.set(keyPatterns.user("123"), userData);
await kv.set(keyPatterns.userProfile("123"), profileData);
