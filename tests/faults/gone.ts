// Deletes and replaces the files of open databases.
import { attempt } from "./attempt.ts";

const remove = (name: string) => {
  for (const end of ["", "-wal", "-shm"]) Deno.removeSync(name + end);
};

const deleted = await Deno.openKv("kv.sqlite3");
await deleted.set(["a"], 0);
remove("kv.sqlite3");
await attempt("set in a deleted file", () => deleted.set(["a"], 2));
await attempt("enqueue to a deleted file", () => deleted.enqueue(2));

const created = await Deno.openKv("kv.sqlite3");
await attempt("set in a new file", async () => void await created.set(["a"], 3));

// The connection still reads the deleted file, not its replacement.
await attempt("get from a deleted file", async () => (await deleted.get(["a"])).value);

const other = await Deno.openKv("other.sqlite3");
await other.set(["a"], 1);
other.close();
// Closing checkpoints the WAL, and deletes it.
const hasWal = () => [...Deno.readDirSync(".")].some(({ name }) => name === "other.sqlite3-wal");
while (hasWal()) await new Promise((resolve) => setTimeout(resolve, 1));
remove("kv.sqlite3");
Deno.renameSync("other.sqlite3", "kv.sqlite3");
await attempt("set in a replaced file", () => created.set(["a"], 2));
const replaced = await Deno.openKv("kv.sqlite3");
await attempt("get from the replacement", async () => (await replaced.get(["a"])).value);
for (const kv of [deleted, created, replaced]) kv.close();
