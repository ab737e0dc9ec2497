// the primary index using the user id
kv.set(["user", 1], {id: 1, name: "John Doe", email: "jdoe@example.com"})
// a secondary index using the email address
kv.set(["user_by_email", "jdoe@example.com"], {id: 1, name: "John Doe", email: "jdoe@example.com"})
