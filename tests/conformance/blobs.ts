// Blobs and files are stored with their contents.
// deno-lint-ignore-file no-explicit-any
import { difference, equal, memory, onDeno, rejects, sleep, test } from "./harness.ts";

const lost = "Deno stores ids of parts in the memory of the process, which exist until a garbage collection";

/** Runs a test of contents, which Deno does not store. */
function stored(name: string, body: () => unknown): Promise<void> {
  return difference(name, lost, body);
}

/** Returns the properties of a blob, and its contents. */
async function contents(blob: Blob): Promise<unknown[]> {
  const name = blob instanceof File ? [blob.name, blob.lastModified] : [];
  return [blob.constructor.name, blob.size, blob.type, ...name, await blob.text()];
}

const whole = new Blob(["ab", new Uint8Array([99]), new Blob(["de", "f"])], { type: "text/plain" });

/** Blobs of every kind. */
const blobs: Record<string, Blob> = {
  "a blob of several parts": whole,
  "a slice": whole.slice(1, 4, "text/x"),
  "a slice of a slice": whole.slice(1).slice(2, 3),
  "an empty blob": new Blob([]),
  "a blob of empty parts": new Blob(["", new Uint8Array(0)]),
  "a file": new File(["abc"], "f.txt", { type: "text/x", lastModified: 5 }),
  "an empty file": new File([], "", { lastModified: 0 }),
  "a file of files": new File([new File(["x"], "x"), whole], "ä/\u{1f600}.bin", { lastModified: -1 }),
  "a blob of many parts": new Blob(Array.from({ length: 1000 }, (_, i) => String(i % 10))),
};

/** The places of a blob in a value, and how to get it back. */
const places: [put: (blob: Blob) => unknown, take: (value: any) => Blob][] = [
  [(blob) => blob, (value) => value],
  [(blob) => ({ a: [1, blob] }), (value) => value.a[1]],
  [(blob) => new Map([["key", blob]]), (value) => value.get("key")],
  [(blob) => new Map([[blob, 1]]), (value) => [...value.keys()][0]],
  [(blob) => new Set([blob]), (value) => [...value][0]],
  [(blob) => Object.assign(new Error("e"), { cause: blob }), (value) => value.cause],
];

for (const [name, blob] of Object.entries(blobs)) {
  await test(`${name} is restored with its contents at each place of a value`, async () => {
    using kv = await memory();
    const expected = await contents(blob);
    for (const [put, take] of places) {
      await kv.set(["a"], put(blob));
      equal(await contents(take((await kv.get<any>(["a"])).value)), expected);
      await kv.atomic().set(["a"], put(blob)).commit();
      const [entry] = await Array.fromAsync(kv.list<any>({ prefix: [] }));
      equal(await contents(take(entry.value)), expected);
    }
    equal(await contents(blob), expected);
  });
  await test(`${name} is restored from a queue, and from the keys of an undelivered message`, async () => {
    using kv = await memory();
    const expected = await contents(blob);
    const { promise, resolve } = Promise.withResolvers<Blob>();
    kv.listenQueue((message: any) => {
      if (message.undelivered) throw new Error("thrown by a handler");
      resolve(message.blob);
    });
    await kv.enqueue({ blob, undelivered: true }, { backoffSchedule: [], keysIfUndelivered: [["a"], ["b"]] });
    let value: any = null;
    while (value === null) {
      await sleep(2);
      ({ value } = await kv.get<any>(["b"]));
    }
    equal(await contents(value.blob), expected);
    await kv.enqueue({ blob });
    equal(await contents(await promise), expected);
  });
}

/** Waits for a garbage collection. */
async function collected(): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const registry = new FinalizationRegistry(() => resolve());
  registry.register({}, undefined);
  let isOver = false;
  promise.then(() => isOver = true);
  while (!isOver) {
    for (let i = 0; i < 100; i++) new Uint8Array(1e6);
    await sleep(0);
  }
  // Other registries are notified, too.
  await sleep(0);
}

await stored("a blob can be read repeatedly, also after a garbage collection", async () => {
  using kv = await memory();
  const expected = await contents(whole);
  await kv.set(["a"], new Blob([whole], { type: whole.type }));
  for (let i = 0; i < 3; i++) {
    equal(await contents((await kv.get<Blob>(["a"])).value!), expected);
    await collected();
  }
});

await test("a blob that occurs twice in a value is restored as one object", async () => {
  using kv = await memory();
  await kv.set(["a"], [whole, { again: whole }]);
  const value: any = (await kv.get(["a"])).value;
  equal(value[0] === value[1].again, true);
  equal(await contents(value[0]), await contents(whole));
});

await test("a blob that was read can be stored again and cloned", async () => {
  using kv = await memory();
  await kv.set(["a"], new File(["abc"], "f.txt", { lastModified: 5 }));
  const read = (await kv.get<File>(["a"])).value!;
  await kv.set(["b"], read.slice(1));
  equal(await contents((await kv.get<Blob>(["b"])).value!), ["Blob", 2, "", "bc"]);
  equal(await contents(structuredClone(read)), ["File", 3, "", "f.txt", 5, "abc"]);
  equal(await (await fetch(URL.createObjectURL(read))).text(), "abc");
});

await stored("the contents of blobs count for the size of a value", async () => {
  using kv = await memory();
  const [value, message] = ["Value too large (max 65536 bytes)", "enqueue payload too large (max 65536 bytes)"];
  for (const blob of [new Blob([new Uint8Array(65536)]), new File(["a".repeat(30000), "b".repeat(36000)], "f")]) {
    for (const put of [blob, { a: [blob] }]) {
      await rejects(() => kv.set(["a"], put), "TypeError", value);
      await rejects(() => kv.atomic().set(["b"], 1).set(["a"], put).commit(), "TypeError", value);
      await rejects(() => kv.enqueue(put), "TypeError", message);
    }
  }
  equal(await Array.fromAsync(kv.list({ prefix: [] })), []);
  await kv.set(["a"], new Blob([new Uint8Array(65000)]));
  equal((await kv.get<Blob>(["a"])).value!.size, 65000);
});

await test("a blob is copied when it is passed", async () => {
  using kv = await memory();
  const bytes = new Uint8Array([97, 98]);
  const operation = kv.atomic().set(["a"], new Blob([bytes])).enqueue(new Blob([bytes]));
  bytes.fill(99);
  await operation.commit();
  equal(await (await kv.get<Blob>(["a"])).value!.text(), "ab");
  const message = await new Promise<Blob>((resolve) => kv.listenQueue(resolve));
  equal(await message.text(), "ab");
});

// On Deno, such an object aborts the process.
if (!onDeno) {
  await test("forged blobs are rejected, or harmless", async () => {
    using kv = await memory();
    const brand = Symbol.for("Deno.core.hostObject");
    const pretend = (data: unknown) => ({ [brand]: () => data });
    const id = "5bd7f4f1-0e0e-4b8e-9f6c-6d0f3f0f9d3a";
    const wrong = [
      { type: "Blob" },
      { type: "Blob", parts: [{ uuid: "x" }], size: 1 },
      { type: "Blob", parts: [{ uuid: id }], size: 1 },
      { type: "File", parts: [null], size: 1 },
      { type: "File", get parts() { throw new TypeError("mine"); } },
    ];
    for (const data of wrong) {
      const error = await kv.set(["a"], pretend(data)).catch((error) => error);
      equal([data, error instanceof Error, (await kv.get(["a"])).value], [data, true, null]);
    }
    await kv.set(["a"], pretend({ type: "Blob", parts: 5, size: 2 ** 53 }));
    equal(await (await kv.get<Blob>(["a"])).value!.text(), "");
    for (const data of [undefined, null, 1, "Blob", { type: "Nope" }, { type: {} }, { type: ["Blob"] }]) {
      await kv.set(["a"], pretend(data));
      const reason = (data as any)?.type === "Nope" ? ': this host has no "Nope"' : "";
      await rejects(() => kv.get(["a"]), "RangeError", `could not deserialize value${reason}`);
    }
  });
}
