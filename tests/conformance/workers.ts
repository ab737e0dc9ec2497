// Web workers: the global scope, messages, and what isolates of one process share.

import { equal, test, throws, throwsSync } from "./harness.ts";

/** Starts a worker from its source, which is JavaScript. */
function start(source: string, options: { name?: string } = {}): Worker {
  return new Worker(`data:application/javascript,${encodeURIComponent(source)}`, { type: "module", ...options });
}

/** Returns the data of the next event of a worker. An error fails. */
function next<T>(worker: Worker, type = "message"): Promise<T> {
  return new Promise((resolve, reject) => {
    worker.addEventListener(type, (event) => resolve((event as MessageEvent).data), { once: true });
    worker.addEventListener("error", (event) => {
      event.preventDefault();
      reject(new Error(event.message));
    }, { once: true });
  });
}

/** Returns the next messages of a worker. */
function several(worker: Worker, count: number): Promise<unknown[]> {
  const messages: unknown[] = [];
  return new Promise((resolve) => {
    worker.onmessage = ({ data }) => {
      messages.push(data);
      if (messages.length === count) resolve(messages);
    };
  });
}

/** Starts a worker, returns the first message that it sends, and terminates it. */
async function result<T>(source: string, options?: { name?: string }): Promise<T> {
  const worker = start(source, options);
  try {
    return await next(worker);
  } finally {
    worker.terminate();
  }
}

/** The source of a worker that sends back what it receives. */
const ECHO = "onmessage = ({ data }) => postMessage(data)";

/** Returns what a worker makes of a value, and sends back. */
async function echoed(value: unknown): Promise<unknown> {
  const worker = start(ECHO);
  worker.postMessage(value);
  const received = await next(worker);
  worker.terminate();
  return received;
}

await test("a worker has the global scope of a dedicated worker", async () => {
  const source = `
    const prototypes = [];
    for (let o = self; (o = Object.getPrototypeOf(o)); ) prototypes.push(o.constructor.name);
    postMessage({
      name,
      prototypes,
      self: self === globalThis && String(self),
      href: location.href.slice(0, 16),
      classes: [location.constructor.name, navigator.constructor.name, navigator.language.length > 0],
      absent: ["Window", "Location", "Navigator", "alert", "confirm", "prompt", "closed", "importScripts", "onload",
        "onbeforeunload", "onunload"].filter((name) => name in globalThis),
      deno: ["mainModule", "openKv", "exit"].filter((name) => name in Deno),
      args: Deno.args.length,
      main: import.meta.main,
      enumerable: ["close", "location", "name", "onmessage", "postMessage"].filter((name) => Object.keys(self).includes(name)),
      lengths: [close.length, postMessage.length],
    })`;
  equal(await result(source, { name: "its name" }), {
    name: "its name",
    prototypes: ["DedicatedWorkerGlobalScope", "WorkerGlobalScope", "EventTarget", "Object"],
    self: "[object DedicatedWorkerGlobalScope]",
    href: "data:application",
    classes: ["WorkerLocation", "WorkerNavigator", true],
    absent: [],
    deno: ["openKv", "exit"],
    args: Deno.args.length,
    main: true,
    enumerable: ["location", "name", "onmessage", "postMessage"],
    lengths: [0, 1],
  });
  equal(await result("postMessage(name)"), "");
});

await test("Worker has the members of the web", () => {
  const worker = start("close()");
  equal(String(worker), "[object Worker]");
  equal(Object.getOwnPropertyNames(Worker.prototype), [
    "constructor",
    "postMessage",
    "terminate",
    "onerror",
    "onmessage",
    "onmessageerror",
  ]);
  equal([Worker.length, worker.postMessage.length, worker.onmessage, worker.onerror], [1, 1, null, null]);
  equal(Object.keys(globalThis).includes("Worker"), false);
});

await test("a worker must be a module with a URL", () => {
  const url = "data:application/javascript,";
  throwsSync(() => new Worker(url), "DOMException", "Classic workers are not supported.");
  throwsSync(() => new Worker(url, { type: "classic" }), "DOMException", "Classic workers are not supported.");
  throwsSync(
    () => new Worker(url, { type: "other" } as unknown as WorkerOptions),
    "TypeError",
    "The provided value 'other' is not a valid enum value of type WorkerType",
  );
  throwsSync(() => new Worker("./worker.ts", { type: "module" }), "URIError", "invalid URL: relative URL without a base");
  throwsSync(() => new Worker("worker.ts", { type: "module" }), "URIError", "invalid URL: relative URL without a base");
});

await test("messages arrive in order, as clones", async () => {
  const worker = start(ECHO);
  const sent = [1, "two", 3n, null, undefined, { of: [new Map([[1, new Date(0)]]), /a/g] }, new Uint8Array([1, 2])];
  const received = several(worker, sent.length);
  for (const message of sent) worker.postMessage(message);
  // The data of an event is never undefined.
  equal(await received, sent.map((message) => message ?? null));
  worker.terminate();
});

await test("a message event is trusted, and has no origin", async () => {
  const worker = start("postMessage(1)");
  const event = await new Promise<MessageEvent>((resolve) => worker.onmessage = resolve);
  equal([event.constructor.name, event.isTrusted, event.cancelable, event.target === worker], [
    "MessageEvent",
    true,
    false,
    true,
  ]);
  equal([event.origin, event.source, event.ports], ["", null, []]);
  worker.terminate();
});

await test("errors arrive with their class and message", async () => {
  const error = await echoed(new TypeError("the message", { cause: "its cause" })) as TypeError;
  equal([error.constructor.name, error.message, error.cause], ["TypeError", "the message", "its cause"]);
  const other = await echoed(new Deno.errors.NotFound("not there")) as Error;
  equal([other.constructor.name, other.message], ["Error", "not there"]);
  const dom = await echoed(new DOMException("stopped", "AbortError")) as DOMException;
  equal([dom instanceof DOMException, dom.name, dom.message], [true, "AbortError", "stopped"]);
});

await test("entries arrive as plain objects", async () => {
  const kv = await Deno.openKv(":memory:");
  await kv.atomic().set(["u64"], new Deno.KvU64(5n)).set(["value"], { a: 1 }).commit();
  const entry = await kv.get(["value"]);
  equal(await echoed(entry), { ...entry });
  const counter = await kv.get(["u64"]);
  equal(await echoed(counter), { ...counter, value: { value: 5n } });
  equal(await echoed(new Deno.KvU64(7n)), { value: 7n });
  kv.close();
});

await test("what cannot be cloned is not sent", async () => {
  const worker = start(`
    ${ECHO};
    for (const value of [() => {}, Symbol("a symbol"), new WeakMap(), self]) {
      try {
        postMessage(value);
      } catch (error) {
        postMessage([error.name, error.message]);
      }
    }`);
  const messages = several(worker, 5);
  await throws(() => worker.postMessage(new WeakMap()), "DOMException", "#<WeakMap> could not be cloned.");
  await throws(() => worker.postMessage(Symbol("a symbol")), "DOMException", "Symbol(a symbol) could not be cloned.");
  await throws(() => worker.postMessage(new ReadableStream()), "DOMException", "Unsupported object type");
  worker.postMessage("the last");
  equal(await messages, [
    ["DataCloneError", "() => {} could not be cloned."],
    ["DataCloneError", "Symbol(a symbol) could not be cloned."],
    ["DataCloneError", "#<WeakMap> could not be cloned."],
    ["DataCloneError", "#<DedicatedWorkerGlobalScope> could not be cloned."],
    "the last",
  ]);
  worker.terminate();
});

await test("postMessage checks its arguments", () => {
  const worker = start("");
  const post = worker.postMessage.bind(worker) as (...args: unknown[]) => void;
  const prefix = "Failed to execute 'postMessage' on 'MessagePort'";
  throwsSync(() => post(), "TypeError", `${prefix}: 1 argument required, but only 0 present`);
  throwsSync(() => post(1, 5), "TypeError", `${prefix}: Argument 2 can not be converted to a dictionary`);
  throwsSync(() => post(1, [{}]), "DOMException", "Value not transferable");
  worker.terminate();
});

await test("buffers are transferred both ways", async () => {
  const worker = start("onmessage = ({ data }) => { new Uint8Array(data)[0]++; postMessage(data, [data]); postMessage(data.byteLength) }");
  const buffer = new Uint8Array([1, 2, 3]).buffer;
  worker.postMessage(buffer, [buffer]);
  equal([buffer.byteLength, buffer.detached], [0, true]);
  equal(await several(worker, 2), [new Uint8Array([2, 2, 3]).buffer, 0]);
  worker.terminate();
});

await test("ports and streams are transferred", async () => {
  const worker = start(`onmessage = async ({ data: { port, stream }, ports }) => {
    port.onmessage = ({ data }) => port.postMessage(["by the port", data]);
    let text = "";
    for await (const chunk of stream) text += chunk;
    postMessage([text, ports.length]);
  }`);
  const { port1, port2 } = new MessageChannel();
  const answered = new Promise((resolve) => port1.onmessage = ({ data }) => resolve(data));
  port1.postMessage("hello");
  const stream = new ReadableStream({
    start(controller) {
      for (const chunk of ["a", "b"]) controller.enqueue(chunk);
      controller.close();
    },
  });
  worker.postMessage({ port: port2, stream }, { transfer: [port2, stream] });
  equal(await next(worker), ["ab", 1]);
  equal(await answered, ["by the port", "hello"]);
  port1.close();
  worker.terminate();
});

await test("shared memory is shared", async () => {
  const shared = new Int32Array(new SharedArrayBuffer(8));
  const worker = start("onmessage = ({ data }) => { Atomics.wait(data, 0, 0); Atomics.store(data, 1, 7); postMessage(1) }");
  worker.postMessage(shared);
  Atomics.store(shared, 0, 1);
  Atomics.notify(shared, 0);
  await next(worker);
  equal(shared[1], 7);
  worker.terminate();
});

await test("WebAssembly modules are cloned", async () => {
  const module = new WebAssembly.Module(new Uint8Array([0, 97, 115, 109, 1, 0, 0, 0]));
  equal(await echoed(module) instanceof WebAssembly.Module, true);
});

await test("blobs are shared", async () => {
  const url = URL.createObjectURL(new Blob(["of the main thread"]));
  equal(await result(`postMessage(await (await fetch("${url}")).text())`), "of the main thread");
  const received = await echoed(new File(["text"], "name.txt")) as File;
  equal([received.name, await received.text()], ["name.txt", "text"]);
});

await test("a blob may be the main module, even if its URL is revoked", async () => {
  const source = "const url: string = location.href; postMessage(url.slice(0, 5)); close();";
  const url = URL.createObjectURL(new Blob([source], { type: "application/typescript" }));
  const worker = new Worker(url, { type: "module" });
  URL.revokeObjectURL(url);
  equal(await next(worker), "blob:");
});

await test("a worker imports modules as its parent does", async () => {
  const source = `import { equal } from "${import.meta.resolve("./harness.ts")}"; postMessage(typeof equal)`;
  equal(await result(source), "function");
});

await test("close() ends the worker immediately, after what it has sent", async () => {
  const worker = start("postMessage(1); postMessage(2); queueMicrotask(() => postMessage(3)); close(); postMessage(4)");
  const messages: unknown[] = [];
  worker.onmessage = ({ data }) => messages.push(data);
  while (messages.length < 2) await next(worker);
  // A worker that is started later has ended: messages of the first would be there.
  await result("postMessage(1)");
  equal(messages, [1, 2]);
  worker.postMessage("ignored");
});

await test("Deno.exit() ends the worker only", async () => {
  const { exitCode } = Deno;
  const worker = start("postMessage(1); try { Deno.exit(5) } finally { postMessage(2) }");
  const messages: unknown[] = [];
  worker.onmessage = ({ data }) => messages.push(data);
  await next(worker);
  await result("postMessage(1)");
  equal([messages, Deno.exitCode], [[1], exitCode]);
});

await test("nothing is heard of a terminated worker", async () => {
  const worker = start(`${ECHO}; setInterval(() => postMessage("late"), 1); postMessage("first")`);
  const messages: unknown[] = [];
  worker.onmessage = ({ data }) => {
    messages.push(data);
    worker.terminate();
    worker.terminate();
    worker.postMessage("ignored");
  };
  worker.onerror = () => messages.push("error");
  await next(worker);
  await result("postMessage(1)");
  equal(messages, ["first"]);
  const unborn = start("postMessage(1)");
  unborn.onmessage = () => messages.push("unborn");
  unborn.terminate();
  await result("postMessage(1)");
  equal(messages, ["first"]);
});

await test("a worker handles its own errors", async () => {
  const source = `
    const seen = [];
    const note = (...what) => { seen.push(what.join()); if (seen.length === 3) postMessage(seen) };
    self.onerror = (message, file, line) => { note(message, file === location.href, line); return true };
    addEventListener("error", (event) => note(event.error.message));
    self.onunhandledrejection = (event) => { note(event.reason.message); event.preventDefault() };
    setTimeout(() => { throw new Error("thrown") });
    setTimeout(() => Promise.reject(new Error("rejected")));`;
  equal(await result(source), ["Uncaught Error: thrown,true,7", "thrown", "rejected"]);
});

await test("workers are nested", async () => {
  const inner = "data:application/javascript,onmessage = ({ data }) => postMessage([name, data])";
  const source = `
    const inner = new Worker(${JSON.stringify(inner)}, { type: "module", name: "inner" });
    inner.onmessage = ({ data }) => postMessage([name, data]);
    onmessage = ({ data }) => inner.postMessage(data);`;
  const outer = start(source, { name: "outer" });
  outer.postMessage("a message");
  equal(await next(outer), ["outer", ["inner", "a message"]]);
  outer.terminate();
});

await test("BroadcastChannel reaches all isolates", async () => {
  const channel = new BroadcastChannel("a name");
  const workers = [1, 2].map((i) =>
    start(`
      const channel = new BroadcastChannel("a name");
      channel.onmessage = ({ data }) => { if (data === "from main") postMessage([${i}, data]) };
      postMessage("ready")`)
  );
  equal(await Promise.all(workers.map((worker) => next(worker))), ["ready", "ready"]);
  const heard = Promise.all(workers.map((worker) => next(worker)));
  channel.postMessage("from main");
  equal(await heard, [[1, "from main"], [2, "from main"]]);
  const back = new Promise((resolve) => channel.onmessage = ({ data }) => resolve(data));
  await result(`const channel = new BroadcastChannel("a name"); channel.postMessage("from a worker"); postMessage(1)`);
  equal(await back, "from a worker");
  channel.close();
  for (const worker of workers) worker.terminate();
});

await test("locks are those of the process", async () => {
  const worker = start(`navigator.locks.request("a lock", () => { postMessage("held"); return new Promise(() => {}) })`);
  equal(await next(worker), "held");
  // deno-lint-ignore no-explicit-any
  const { locks } = navigator as any;
  equal(await locks.request("a lock", { ifAvailable: true }, (lock: unknown) => lock), null);
  worker.terminate();
  // Released with the worker.
  equal(await locks.request("a lock", () => "released"), "released");
});

await test("a database file is shared by all isolates", async () => {
  const directory = await Deno.makeTempDir();
  const path = `${directory}/shared.sqlite3`;
  const kv = await Deno.openKv(path);
  await kv.set(["count"], new Deno.KvU64(0n));
  const reader = kv.watch<[Deno.KvU64]>([["count"]]).getReader();
  await reader.read();
  const source = `
    const kv = await Deno.openKv(${JSON.stringify(path)});
    for (let i = 0; i < 20; i++) await kv.atomic().sum(["count"], 1n).commit();
    kv.close();
    postMessage("done");`;
  const workers = [start(source), start(source)];
  await Promise.all(workers.map((worker) => next(worker)));
  for (;;) {
    const { value } = await reader.read();
    if (value?.[0].value?.value === 40n) break;
  }
  equal((await kv.get(["count"])).value, new Deno.KvU64(40n));
  await reader.cancel();
  for (const worker of workers) worker.terminate();
  kv.close();
  await Deno.remove(directory, { recursive: true });
});

await test("the default database of a worker is its own", async () => {
  const kv = await Deno.openKv();
  await kv.set(["worker"], "of main");
  const source = `
    const kv = await Deno.openKv();
    const { value } = await kv.get(["worker"]);
    await kv.set(["worker"], "of the worker");
    postMessage([value, (await kv.get(["worker"])).value]);`;
  equal(await result(source), [null, "of the worker"]);
  equal((await kv.get(["worker"])).value, "of main");
  await kv.delete(["worker"]);
  kv.close();
});

await test("a worker with broken built-ins still sends and receives", async () => {
  for (const name of ["Array", "ArrayBuffer", "Error", "Map", "MessageEvent", "Object", "Promise", "String"]) {
    const source = `
      const { prototype } = ${name};
      const broken = () => { throw new Error("broken") };
      const keys = Reflect.ownKeys(prototype);
      for (let i = 0; i < keys.length; i++) {
        if (keys[i] === "constructor" || keys[i] === "length") continue;
        Reflect.defineProperty(prototype, keys[i], { value: broken, configurable: true, writable: true });
      }
      globalThis.dispatchEvent = broken;
      globalThis.Promise = null;
      onmessage = ({ data }) => postMessage(data);`;
    const worker = start(source);
    worker.postMessage(name);
    equal(await next(worker), name);
    worker.terminate();
  }
});
