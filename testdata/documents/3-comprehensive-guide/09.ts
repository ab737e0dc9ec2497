await kv.set<User>(["user", userId], user);
