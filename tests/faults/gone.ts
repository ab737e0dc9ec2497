// Deletes and replaces files of databases that are open.
import { attempt } from "./attempt.ts";

const remove = (name: string) => {
  for (const end of ["", "-wal", "-shm"]) Deno.removeSync(name + end);
};

const deleted = await Deno.openKv("kv.sqlite3");
await deleted.set(["a"], 0);
remove("kv.sqlite3");
await attempt("set of a deleted file", () => deleted.set(["a"], 2));
await attempt("enqueue to a deleted file", () => deleted.enqueue(2));

const created = await Deno.openKv("kv.sqlite3");
await attempt("set of a new file", async () => void await created.set(["a"], 3));

// Its connection goes on with the file that it has open, and never reads the one in its place.
await attempt("get of a deleted file", async () => (await deleted.get(["a"])).value);

const other = await Deno.openKv("other.sqlite3");
await other.set(["a"], 1);
other.close();
// The log is merged into the file, and deleted.
const hasLog = () => [...Deno.readDirSync(".")].some(({ name }) => name === "other.sqlite3-wal");
while (hasLog()) await new Promise((resolve) => setTimeout(resolve, 1));
remove("kv.sqlite3");
Deno.renameSync("other.sqlite3", "kv.sqlite3");
await attempt("set of a replaced file", () => created.set(["a"], 2));
const replaced = await Deno.openKv("kv.sqlite3");
await attempt("get of the file in its place", async () => (await replaced.get(["a"])).value);
for (const kv of [deleted, created, replaced]) kv.close();
