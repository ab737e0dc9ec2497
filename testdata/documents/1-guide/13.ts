// Good: Hierarchical keys for efficient prefix scanning
["users", "region", "us-west", userId]

// Bad: Flat keys that require filtering
[`user_${region}_${userId}`]
