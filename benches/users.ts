// The data of the benchmarks: users, as small objects.

/** The number of users in the measures of lists. */
export const LISTED = 50_000;

/** The number of users that one atomic operation of a bulk load stores. */
export const BULK = 500;

interface User {
  id: number;
  name: string;
  email: string;
  age: number;
  active: boolean;
}

export function userKey(i: number): Deno.KvKey {
  return ["users", `user-${String(i).padStart(8, "0")}`];
}

export function user(i: number): User {
  return { id: i, name: `User ${i}`, email: `user${i}@example.com`, age: 18 + i % 60, active: i % 3 > 0 };
}

/** Stores the users of one atomic operation, from a first one on. */
export async function storeBulk(kv: Deno.Kv, first: number): Promise<void> {
  const atomic = kv.atomic();
  for (let i = first; i < first + BULK; i++) atomic.set(userKey(i), user(i));
  await atomic.commit();
}

/** Stores the first users. Their number is a multiple of `BULK`. */
export async function storeUsers(kv: Deno.Kv, count: number): Promise<void> {
  for (let first = 0; first < count; first += BULK) await storeBulk(kv, first);
}

/** Reads a list to its end. Returns the number of its entries. */
export async function countListed(list: Deno.KvListIterator<unknown>): Promise<number> {
  let count = 0;
  for await (const entry of list) if (entry.value !== null) count++;
  return count;
}
