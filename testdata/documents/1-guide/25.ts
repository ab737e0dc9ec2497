// Implementing secondary indexes manually
async function createUserByEmail(user: User) {
  await kv.atomic()
    .set(["users", user.id], user)
    .set(["users_by_email", user.email], user.id)
    .commit();
}

async function getUserByEmail(email: string): Promise<User | null> {
  const idResult = await kv.get<string>(["users_by_email", email]);
  if (idResult.value) {
    const userResult = await kv.get<User>(["users", idResult.value]);
    return userResult.value;
  }
  return null;
}

// Implementing count operations
async function countItems(prefix: Deno.KvKey): Promise<number> {
  let count = 0;
  const iter = kv.list({ prefix });
  for await (const _ of iter) {
    count++;
  }
  return count;
}

// Implementing pagination
async function* paginate<T>(
  prefix: Deno.KvKey,
  pageSize: number
): AsyncGenerator<T[]> {
  let cursor: string | undefined;
  
  while (true) {
    const page: T[] = [];
    const iter = kv.list<T>({
      prefix,
      limit: pageSize,
      cursor
    });
    
    let hasItems = false;
    for await (const entry of iter) {
      hasItems = true;
      if (entry.value) page.push(entry.value);
      cursor = entry.cursor;
    }
    
    if (!hasItems) break;
    yield page;
    
    if (!cursor) break;
  }
}
