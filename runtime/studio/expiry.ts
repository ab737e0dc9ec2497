// When entries expire, which reads of entries do not return.

/** An entry, with when it expires: null if it does not, undefined if the database cannot tell. */
export type Expiring = Deno.KvEntryMaybe<unknown> & { expiresAt: number | null | undefined };

/** The number of entries whose expiry is read at once. */
const BATCH_SIZE = 100;
/** How often an entry that changes all the time is read again. */
const MAX_ATTEMPTS = 3;

/** Adds to entries when they expire. An entry that was changed meanwhile is read again: it may be absent. */
export async function withExpiries(
  kv: Deno.Kv,
  entries: Deno.KvEntryMaybe<unknown>[],
  attempts = MAX_ATTEMPTS,
): Promise<Expiring[]> {
  const expiries = await getExpiries(kv, entries.map(({ key }) => key));
  return await Promise.all(entries.map(async (entry, index) => {
    if (!expiries) return { ...entry, expiresAt: undefined };
    const { versionstamp, expiresAt } = expiries[index];
    if (versionstamp === entry.versionstamp || attempts === 0) return { ...entry, expiresAt };
    const [current] = await withExpiries(kv, [await kv.get(entry.key)], attempts - 1);
    return current;
  }));
}

async function getExpiries(kv: Deno.Kv, keys: Deno.KvKey[]): Promise<Deno.KvExpiry[] | null> {
  try {
    return await kv.getExpiries(keys);
  } catch (error) {
    if (error instanceof Deno.errors.NotSupported) return null;
    throw error;
  }
}

/** Adds to listed entries when they expire. Those that were deleted meanwhile have no versionstamp. */
export async function* listWithExpiries(
  kv: Deno.Kv,
  list: AsyncIterable<Deno.KvEntry<unknown>>,
): AsyncGenerator<Expiring> {
  let batch = [];
  for await (const entry of list) {
    batch.push(entry);
    if (batch.length < BATCH_SIZE) continue;
    yield* await withExpiries(kv, batch);
    batch = [];
  }
  yield* await withExpiries(kv, batch);
}

/** Returns the options that make an entry expire at a time, if there is one. */
export function expiringAt(time: number | null | undefined): { expireIn?: number } {
  return typeof time === "number" ? { expireIn: Math.max(0, time - Date.now()) } : {};
}
