await kv.delete(["user", userId]);
