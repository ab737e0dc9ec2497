const result = await kv.get<User>(["users", "alice"]);
if (result.value) {
  console.log(result.value.name);
}
