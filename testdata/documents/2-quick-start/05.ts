await kv.delete(["users", "alice"]);
