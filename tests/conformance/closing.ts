// After close(), the database is one complete file, which may be copied, renamed or opened again immediately.

import { equal, test } from "./harness.ts";

const ROUNDS = 10;

/** Ways to use and close a database. Each sets the key ["a"]. */
const uses: [string, (path: string) => Promise<void>][] = [
  ["a write", async (path) => {
    const kv = await Deno.openKv(path);
    await kv.set(["a"], 1);
    kv.close();
  }],
  ["a read before", async (path) => {
    const kv = await Deno.openKv(path);
    await kv.set(["a"], 1);
    await kv.get(["a"]);
    kv.close();
  }],
  ["a disposal", async (path) => {
    using kv = await Deno.openKv(path);
    await kv.set(["a"], 1);
  }],
  ["many large writes", async (path) => {
    const kv = await Deno.openKv(path);
    await Promise.all(Array.from({ length: 50 }, (_, i) => kv.set(["large", i], new Uint8Array(60_000))));
    await kv.set(["a"], 1);
    kv.close();
  }],
  ["a watch and a listener", async (path) => {
    const kv = await Deno.openKv(path);
    const listening = kv.listenQueue(() => {});
    const reader = kv.watch([["a"]]).getReader();
    await reader.read();
    await kv.set(["a"], 1);
    kv.close();
    await listening;
  }],
  ["two databases on one file", async (path) => {
    const [first, second] = [await Deno.openKv(path), await Deno.openKv(path)];
    await first.set(["a"], 0);
    first.close();
    await second.set(["a"], 1);
    second.close();
  }],
];

function exists(path: string): boolean {
  try {
    Deno.statSync(path);
    return true;
  } catch {
    return false;
  }
}

async function eachUse(what: string, check: (path: string) => Promise<void>): Promise<void> {
  for (const [name, use] of uses) {
    await test(`after ${name} and close, ${what}`, async () => {
      const directory = await Deno.makeTempDir();
      for (let i = 0; i < ROUNDS; i++) {
        const path = `${directory}/${i}.db`;
        await use(path);
        await check(path);
      }
      await Deno.remove(directory, { recursive: true });
    });
  }
}

async function valueIn(path: string): Promise<unknown> {
  using kv = await Deno.openKv(path);
  return (await kv.get(["a"])).value;
}

await eachUse("there are no other files", (path) => {
  equal([exists(path), exists(`${path}-wal`), exists(`${path}-shm`)], [true, false, false]);
  return Promise.resolve();
});

await eachUse("a copy of the file is complete", async (path) => {
  Deno.copyFileSync(path, `${path}.copy`);
  equal(await valueIn(`${path}.copy`), 1);
});

await eachUse("the file can be renamed", async (path) => {
  Deno.renameSync(path, `${path}.renamed`);
  equal(await valueIn(`${path}.renamed`), 1);
});

await eachUse("it opens again", async (path) => equal(await valueIn(path), 1));
