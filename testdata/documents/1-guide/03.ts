// Get a simple value
const configResult = await kv.get(["config", "apiUrl"]);
if (configResult.value !== null) {
  console.log("API URL:", configResult.value);
}

// Get with TypeScript typing
const userResult = await kv.get<User>(["users", "user123"]);
if (userResult.value !== null) {
  const user = userResult.value;
  console.log(`User: ${user.name} (${user.email})`);
}

// Access metadata
console.log("Version:", userResult.versionstamp);
