// Checks how reads of entries and of their expiry are combined. Run by tests/studio.rs.

import { listWithExpiries, withExpiries } from "../../runtime/studio/expiry.ts";

function assertEquals(actual: unknown, expected: unknown): void {
  const [a, b] = [Deno.inspect(actual, { depth: 9 }), Deno.inspect(expected, { depth: 9 })];
  if (a !== b) throw new Error(`${a} is not ${b}`);
}

Deno.test("entries that were changed meanwhile are read again", async () => {
  using kv = await Deno.openKv(":memory:");
  for (const name of ["changed", "deleted", "unchanged"]) await kv.set([name], "old");
  const listed = await Array.fromAsync(kv.list({ prefix: [] }));
  await kv.set(["changed"], "new", { expireIn: 3_600_000 });
  await kv.delete(["deleted"]);
  const found = await withExpiries(kv, [...listed, await kv.get(["absent"])]);
  assertEquals(found.map(({ key, value, expiresAt }) => [key[0], value, typeof expiresAt]), [
    ["changed", "new", "number"],
    ["deleted", null, "object"],
    ["unchanged", "old", "object"],
    ["absent", null, "object"],
  ]);
  assertEquals(found[0].versionstamp, (await kv.get(["changed"])).versionstamp);
});

Deno.test("an entry that changes all the time is read a few times", async () => {
  using kv = await Deno.openKv(":memory:");
  await kv.set(["a"], 0);
  let [reads, time] = [0, 0];
  const changing = {
    get: (key: Deno.KvKey) => kv.get(key),
    getExpiries: (keys: Deno.KvKey[]) => {
      reads += 1;
      time += 1;
      return Promise.resolve(keys.map((key) => ({ key, versionstamp: `${time}`, expiresAt: time })));
    },
  };
  const [entry] = await withExpiries(changing as Deno.Kv, [await kv.get(["a"])]);
  assertEquals([reads, entry.value, entry.expiresAt], [4, 0, 4]);
});

Deno.test("lists of databases that cannot tell the expiry are complete", async () => {
  using kv = await Deno.openKv(":memory:");
  for (let i = 0; i < 250; i++) await kv.set([i], i);
  const other = { getExpiries: () => Promise.reject(new Deno.errors.NotSupported("no")) };
  for (const [from, type] of [[kv, "object"], [other as unknown as Deno.Kv, "undefined"]] as const) {
    const listed = await Array.fromAsync(listWithExpiries(from, kv.list({ prefix: [] })));
    assertEquals(listed.map(({ value }) => value), Array.from({ length: 250 }, (_, i) => i));
    assertEquals(new Set(listed.map(({ expiresAt }) => typeof expiresAt)), new Set([type]));
  }
});
