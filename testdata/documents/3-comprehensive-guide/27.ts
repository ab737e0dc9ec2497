// A secondary index using the email address with the primary index id as the value
kv.set(["user_by_email", "jdoe@example.com"], 1)
// Use the id to lookup the full object
kv.set(["user", 1], {id: 1, name: "John Doe", email: "jdoe@example.com"})
