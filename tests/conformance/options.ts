// Options are not read from Object.prototype, to which a package may add properties with the same names.
// deno-lint-ignore-file no-explicit-any
import { difference, equal, memory, sleep, test } from "./harness.ts";

/** Calls a function while all objects inherit a property. */
async function inheriting<T>(name: string, value: unknown, body: () => T): Promise<Awaited<T>> {
  (Object.prototype as any)[name] = value;
  try {
    return await body();
  } finally {
    delete (Object.prototype as any)[name];
  }
}

/** Names of options, with values that have an effect, and whether Deno reads them from Object.prototype. */
const polluted: [name: string, value: unknown, isReadByDeno: boolean][] = [
  ["limit", 2, true],
  ["reverse", true, true],
  ["values", false, false],
  ["cursor", "IcAAAAAAAAAA", true],
  ["batchSize", 1, false],
  ["batchSize", 0, true],
  ["consistency", "x", true],
  ["raw", true, false],
  ["expireIn", 1, false],
  ["expireIn", -1, true],
  ["delay", 1e6, false],
  ["delay", -1, true],
  ["backoffSchedule", [-1], true],
  ["keysIfUndelivered", 5, true],
  ["prefix", ["other"], false],
  ["start", ["n", 2], false],
  ["end", ["n", 2], false],
  ["versionstamp", "0".repeat(20), true],
  ["value", 1, true],
  ["hostObjects", [1], false],
  ["forStorage", false, false],
];

async function four(): Promise<Deno.Kv> {
  const kv = await memory();
  for (let i = 0; i < 4; i++) await kv.set(["n", i], i);
  return kv;
}

async function values(list: Deno.KvListIterator<unknown>): Promise<unknown[]> {
  const values: unknown[] = [];
  for await (const entry of list) values.push(entry.value);
  return values;
}

for (const [name, value, isReadByDeno] of polluted) {
  const named = `${name} ${value} of Object.prototype`;

  await test(`${named} is not an option of a call without options`, async () => {
    using kv = await four();
    equal(await inheriting(name, value, () => values(kv.list({ prefix: ["n"] }))), [0, 1, 2, 3]);
    equal(await inheriting(name, value, () => values(kv.list({ start: ["n", 1], end: ["n", 3] }))), [1, 2]);
    equal((await inheriting(name, value, () => kv.get(["n", 1]))).value, 1);
    equal((await inheriting(name, value, () => kv.getMany([["n", 1]]))).map((entry) => entry.value), [1]);
    await inheriting(name, value, () => kv.set(["n", 5], { a: 1 }));
    equal((await kv.get(["n", 5])).value, { a: 1 });
    await inheriting(name, value, () => kv.delete(["n", 5]));
    await inheriting(name, value, () => kv.enqueue("message"));
    equal(await new Promise((resolve) => kv.listenQueue(resolve)), "message");
  });

  const body = async () => {
    using kv = await four();
    for (const options of [{}, { unknown: 1 }, new (class {})()] as object[]) {
      equal(await inheriting(name, value, () => values(kv.list({ prefix: ["n"] }, options))), [0, 1, 2, 3]);
      equal((await inheriting(name, value, () => kv.get(["n", 1], options))).value, 1);
      await inheriting(name, value, () => kv.set(["n", 1], 1, options));
      const operation = () => kv.atomic().set(["n", 1], 1, options).enqueue("message", options);
      equal((await inheriting(name, value, () => operation().commit())).ok, true);
      const check: any = { key: ["none"] };
      const mutations: any[] = [{ type: "set", key: ["n", 1], value: 1 }, { type: "delete", key: ["n", 9] }];
      equal((await inheriting(name, value, () => kv.atomic().check(check).mutate(...mutations).commit())).ok, true);
    }
    // None of the writes has expired.
    await sleep(5);
    equal(await values(kv.list({ prefix: ["n"] })), [0, 1, 2, 3]);
  };
  const title = `${named} is not an option of a call with other options`;
  await (isReadByDeno ? difference(title, "Deno reads inherited properties", body) : test(title, body));
}

await test("watch reads no options from Object.prototype", async () => {
  using kv = await four();
  const reader = (await inheriting("raw", true, () => kv.watch([["n", 1]]))).getReader();
  equal((await reader.read()).value!.map((entry) => entry.value), [1]);
  // A change of another key emits an item only if the stream is raw.
  await kv.set(["n", 2], 2);
  await kv.set(["n", 1], "changed");
  equal((await reader.read()).value!.map((entry) => entry.value), ["changed"]);
  await reader.cancel();
});

await test("options may be inherited from other prototypes", async () => {
  using kv = await four();
  class Options {
    #limit = 2;
    get limit() {
      return this.#limit;
    }
  }
  class More extends Options {
    reverse = true;
  }
  const ways: [options: any, expected: number[]][] = [
    [new Options(), [0, 1]],
    [new More(), [3, 2]],
    [Object.create({ limit: 3 }), [0, 1, 2]],
    [Object.create(Object.create(null, { limit: { value: 1 } })), [0]],
    [new Proxy({}, { get: (_, name) => name === "limit" ? 1 : undefined }), [0]],
  ];
  for (const [options, expected] of ways) equal(await values(kv.list({ prefix: ["n"] }, options)), expected);
  await inheriting("limit", 4, async () => {
    for (const [options, expected] of ways.slice(0, 4)) equal(await values(kv.list({ prefix: ["n"] }, options)), expected);
  });
});
