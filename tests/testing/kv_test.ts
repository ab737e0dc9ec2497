// The kind of tests that users write for code that uses KV.
async function transfer(kv: Deno.Kv, from: string, to: string, amount: bigint) {
  const [source, target] = await kv.getMany<[bigint, bigint]>([["balance", from], ["balance", to]]);
  if (source.value! < amount) throw new RangeError(`${from} has ${source.value} only`);
  const { ok } = await kv.atomic().check(source, target)
    .set(source.key, source.value! - amount).set(target.key, target.value! + amount).commit();
  return ok;
}

let kv: Deno.Kv;
Deno.test.beforeEach(async () => {
  kv = await Deno.openKv(":memory:");
  await kv.atomic().set(["balance", "ada"], 10n).set(["balance", "bob"], 0n).commit();
});
Deno.test.afterEach(() => kv.close());

Deno.test("a transfer moves the amount", { sanitizeOps: true, sanitizeResources: true }, async (t) => {
  await t.step("the transfer", async () => {
    if (!await transfer(kv, "ada", "bob", 3n)) throw new Error("not committed");
  });
  await t.step("both balances", async () => {
    const [ada, bob] = await kv.getMany<bigint[]>([["balance", "ada"], ["balance", "bob"]]);
    if (ada.value !== 7n || bob.value !== 3n) throw new Error(`${ada.value} and ${bob.value}`);
  });
});
Deno.test("a transfer of too much is rejected", async () => {
  try {
    await transfer(kv, "ada", "bob", 11n);
  } catch (error) {
    if (error instanceof RangeError) return;
  }
  throw new Error("not rejected");
});
Deno.test("each test has a database of its own", async () => {
  if ((await kv.get(["balance", "ada"])).value !== 10n) throw new Error("the database is not new");
});
Deno.test("a queue delivers", async () => {
  const { promise, resolve } = Promise.withResolvers();
  kv.listenQueue(resolve);
  await kv.enqueue("hello");
  if (await promise !== "hello") throw new Error("wrong message");
});
