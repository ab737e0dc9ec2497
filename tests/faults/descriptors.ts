// Uses databases while the process has no file descriptors left. `faults.rs` sets a low limit.

const kv = await Deno.openKv("open.db");
await kv.set(["a"], 1);
// A separate connection reads ranges with many expired entries.
for (let i = 0; i < 50; i++) {
  const operation = kv.atomic();
  for (let j = 0; j < 1000; j++) operation.set(["b", i * 1000 + j], 1, { expireIn: 1 });
  await operation.commit();
}

(await Deno.openKv("existing.db")).close();

const files: Deno.FsFile[] = [];
function takeAll(): string {
  try {
    for (;;) files.push(Deno.openSync("/dev/null"));
  } catch (error) {
    return (error as Error).message;
  }
}
console.log(takeAll());

const { count } = kv as unknown as { count(selector: Deno.KvListSelector): Promise<number> };
console.log((await kv.get(["a"])).value, (await kv.getMany([["a"], ["c"]])).length);
console.log((await Array.fromAsync(kv.list({ prefix: [] }))).length, await count.call(kv, { prefix: ["a"] }));
console.log((await kv.set(["a"], 2)).ok, (await kv.get(["a"])).value);

/** Opens a database with a number of descriptors left. Returns "opened", or the error. */
async function open(name: string, left: number): Promise<string> {
  for (let i = 0; i < left; i++) files.pop()!.close();
  let result = "opened";
  try {
    const other = await Deno.openKv(name);
    await other.set(["a"], 1);
    if ((await other.get(["a"])).value !== 1) result = "not read";
    other.close();
  } catch (error) {
    result = (error as Error).message.replace(name, "FILE");
  }
  takeAll();
  return result;
}

/**
 * Opens databases with an increasing number of descriptors left, and prints the errors. Returns the number with which it works.
 */
async function openAll(name: (left: number) => string): Promise<number> {
  const results: string[] = [];
  for (let left = 0; left < 16; left++) results.push(await open(name(left), left));
  const first = results.indexOf("opened");
  console.log(first > 0, new Set(results.slice(first)).size, ...new Set(results.slice(0, first)));
  return first;
}

const first = await openAll((left) => `new${left}.db`);
files.pop()!.close();
const created = [...Deno.readDirSync(".")].filter((entry) => entry.name.startsWith("new"));
// Failed attempts created no files.
console.log(created.length === 16 - first);
takeAll();
await openAll(() => "existing.db");
kv.close();
