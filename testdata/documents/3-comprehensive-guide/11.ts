user.phone = "5182349876"
const result = await kv.set(["user", userId], user);
