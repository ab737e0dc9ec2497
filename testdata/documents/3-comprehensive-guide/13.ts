// get list of users; to avoid TypeScript errors, call list() with a generic parameter
const iteruser = kv.list<User>({prefix: ["user"]});
// list of admins
const iterAdmin = kv.list<User>({prefix: ["user", "admin"]});
