// URIs as paths of databases.

import { equal, test } from "./harness.ts";

const directory = Deno.realPathSync(Deno.makeTempDirSync({ prefix: "openkv_" }));
Deno.chdir(directory);

/** Returns the names of the databases in the directory. */
const files = () => [...Deno.readDirSync(".")].map((entry) => entry.name).sort();

/** Opens a database and writes to it. Returns the error if that fails. */
async function tryOpen(name: string): Promise<unknown> {
  try {
    using kv = await Deno.openKv(name);
    await kv.set(["name"], name);
  } catch (error) {
    return error;
  }
}

await test("a file: URI names a file", async () => {
  for (
    const [name, file] of [
      [`file:${directory}/a.db`, "a.db"],
      [`file://${directory}/b.db`, "b.db"],
      [`file://localhost${directory}/c.db`, "c.db"],
      ["file:d.db", "d.db"],
      ["file:./e%20f%3f.db", "e f?.db"],
      ["file:g.db?cache=shared&mode=rwc", "g.db"],
      ["h.db?mode=ro", "h.db?mode=ro"],
      ["i%20j#k.db", "i%20j#k.db"],
      ["./file:l.db", "file:l.db"],
    ]
  ) {
    equal(await tryOpen(name), undefined);
    equal(files(), [file]);
    using kv = await Deno.openKv(`./${file}`);
    equal((await kv.get(["name"])).value, name);
    kv.close();
    Deno.removeSync(file);
  }
});

await test("a file: URI names a database in memory", async () => {
  for (const name of ["file::memory:", "file:m?mode=memory"]) {
    using one = await Deno.openKv(name);
    using two = await Deno.openKv(name);
    await one.set(["a"], 1);
    equal((await two.get(["a"])).value, null);
  }
  for (const name of ["file::memory:?cache=shared", "file:m?mode=memory&cache=shared"]) {
    using one = await Deno.openKv(name);
    using two = await Deno.openKv(name);
    await one.set(["a"], 1);
    equal((await two.get(["a"])).value, 1);
    const { promise: received, resolve } = Promise.withResolvers();
    two.listenQueue(resolve);
    await one.enqueue("message");
    equal(await received, "message");
  }
  equal(files(), []);
});

await test("a database that cannot be opened leaves no file", async () => {
  for (const name of ["file://other/a.db", "file:a.db?mode=ro", "file:missing/a.db", "missing/a.db", "FILE:/a.db"]) {
    const error = await tryOpen(name) as Error;
    equal([error?.constructor, error.message], [Error, error.message]);
    equal(files(), []);
  }
});
