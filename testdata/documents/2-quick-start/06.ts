// List all users
const users = kv.list<User>({ prefix: ["users"] });
for await (const entry of users) {
  console.log(entry.key, entry.value);
}

// With limit
const firstTen = kv.list<User>({ prefix: ["users"] }, { limit: 10 });
