// Uses a database whose storage fails: from the start, or, with a second argument, once a line was read. Prints the first error.
const [path, later] = Deno.args;
let first: unknown;

async function attempt<T>(operation: () => Promise<T>): Promise<T | undefined> {
  try {
    return await operation();
  } catch (error) {
    first ??= error;
  }
}

async function use(kv: Deno.Kv) {
  const listening = attempt(() => kv.listenQueue(() => {}));
  const watched = attempt(() => kv.watch([["value", 1]]).getReader().read());
  for (let i = 0; i < 50; i++) {
    await attempt(() => kv.set(["value", i], new Uint8Array(60_000), { expireIn: 1 }));
    await attempt(() => kv.get(["value", i]));
    await attempt(() => kv.atomic().sum(["sum"], 1n).enqueue(i).commit());
    await attempt(async () => {
      for await (const _ of kv.list({ prefix: ["before"] }));
    });
  }
  await watched;
  await attempt(async () => {
    using other = await Deno.openKv(path);
    await other.set(["other"], 1);
  });
  kv.close();
  await listening;
}

if (later !== undefined) {
  // Closing checkpoints the entries into the file.
  using kv = await Deno.openKv(path);
  for (let i = 0; i < 20; i++) await kv.set(["before", i], new Uint8Array(60_000));
}
const kv = await attempt(() => Deno.openKv(path));
if (kv !== undefined) {
  await attempt(() => kv.set(["after"], new Uint8Array(10_000)));
  if (later !== undefined) {
    console.log("ready");
    await Deno.stdin.read(new Uint8Array(1));
  }
  await use(kv);
}
console.log(first === undefined ? "no error" : String(first).split("\n")[0]);
Deno.exit();
