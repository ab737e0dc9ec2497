const foundUser: Deno.KvEntryMaybe<User> = await kv.get<User>(["user", userId]);
