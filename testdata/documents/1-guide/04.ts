// List all users
const users = kv.list({ prefix: ["users"] });

for await (const entry of users) {
  console.log(entry.key, entry.value);
}

// List with limit
const firstTenUsers = kv.list({ 
  prefix: ["users"],
  limit: 10 
});

// List with pagination
const page2 = kv.list({
  prefix: ["users"],
  limit: 10,
  cursor: previousCursor
});

// Reverse order listing
const recentUsers = kv.list({
  prefix: ["users"],
  reverse: true
});
