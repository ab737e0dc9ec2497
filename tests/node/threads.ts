// Tests of node:worker_threads.

import { once } from "node:events";
import threads, {
  MessageChannel,
  parentPort,
  SHARE_ENV,
  setEnvironmentData,
  threadId,
  Worker,
  type WorkerOptions,
} from "node:worker_threads";
import { equal, test, throws } from "../conformance/harness.ts";

/** Its type declarations lack this function. */
const { postMessageToThread } = threads as unknown as {
  postMessageToThread(thread: number, message: unknown): Promise<void>;
};

const directory = Deno.makeTempDirSync();

/** The events of a worker until its end, in order. */
type Events = [name: string, ...args: unknown[]][];

/** Collects the events of a worker until its end. The order of `online` and `error` is not defined. */
function events(worker: Worker): Promise<Events> {
  const events: Events = [];
  return new Promise((resolve) => {
    worker.on("message", (message) => events.push(["message", message]));
    worker.on("error", ({ name, message, code }: Error & { code?: string }) => {
      events.push(["error", name, message, ...(code ? [code] : [])]);
    });
    worker.on("exit", (code) => resolve([...events, ["exit", code]]));
  });
}

/** Runs a script in a worker. It can use the exports of node:worker_threads. */
function run(script: string, options: WorkerOptions = {}): Promise<Events> {
  return events(evaluate(script, options));
}

function evaluate(script: string, options: WorkerOptions = {}): Worker {
  const names = "parentPort, workerData, threadId, isMainThread, receiveMessageOnPort, postMessageToThread";
  return new Worker(`const { ${names} } = require("worker_threads"); ${script}`, { eval: true, ...options });
}

/** Writes a module for workers. */
function write(name: string, source: string): string {
  const file = `${directory}/${name}`;
  Deno.writeTextFileSync(file, source);
  return file;
}

await test("node:worker_threads: a thread runs a module with its data", async () => {
  const file = write(
    "data.mjs",
    `import { isMainThread, parentPort, threadId, workerData } from "node:worker_threads";
    parentPort.postMessage({ isMainThread, workerData, isChild: threadId > 0, argv: process.argv.slice(1) });`,
  );
  const worker = new Worker(file, { workerData: { a: new Map([[1, 2n]]) }, argv: ["b", 3] });
  equal([worker.threadId > 0, threadId, parentPort], [true, 0, null]);
  const message = {
    isMainThread: false,
    workerData: { a: new Map([[1, 2n]]) },
    isChild: true,
    argv: [Deno.realPathSync(file), "b", "3"],
  };
  const online = once(worker, "online");
  equal(await events(worker), [["message", message], ["exit", 0]]);
  equal(await online, []);
});

await test("node:worker_threads: a thread runs TypeScript, CommonJS and URLs", async () => {
  const typescript = write("a.ts", `import { parentPort } from "node:worker_threads"; parentPort!.postMessage(1 as number);`);
  equal(await events(new Worker(typescript)), [["message", 1], ["exit", 0]]);
  write("other.cjs", "module.exports = 2;");
  const commonjs = write(
    "a.cjs",
    "require('worker_threads').parentPort.postMessage([require('./other.cjs'), __filename.endsWith('a.cjs')]);",
  );
  equal(await events(new Worker(commonjs)), [["message", [2, true]], ["exit", 0]]);
  equal(await events(new Worker(new URL(`file://${commonjs}`))), [["message", [2, true]], ["exit", 0]]);
  const data = new URL(`data:text/javascript,import { parentPort } from "node:worker_threads"; parentPort.postMessage(3)`);
  equal(await events(new Worker(data)), [["message", 3], ["exit", 0]]);
});

await test("node:worker_threads: a thread evaluates a script", async () => {
  equal(
    await run(`parentPort.postMessage([__filename, __dirname, typeof module, this === globalThis, process.argv[1]])`),
    [["message", [`${Deno.cwd()}/[worker eval]`, Deno.cwd(), "object", true, "[worker eval]"]], ["exit", 0]],
  );
  equal(await run(`import("node:fs").then((fs) => parentPort.postMessage(typeof fs.readFileSync))`), [
    ["message", "function"],
    ["exit", 0],
  ]);
  await throws(() => new Worker(new URL("file:///a"), { eval: true }), "TypeError");
});

await test("node:worker_threads: the global scope of a thread has no self", async () => {
  const script = `parentPort.postMessage([typeof self, typeof WorkerGlobalScope, typeof Deno.mainModule, typeof location])`;
  equal(await run(script), [["message", ["undefined", "undefined", "undefined", "object"]], ["exit", 0]]);
});

await test("node:worker_threads: messages go both ways, until nobody listens", async () => {
  const worker = evaluate(`parentPort.on("message", (message) => {
    if (message === null) parentPort.unref();
    else parentPort.postMessage({ got: message });
  });`);
  worker.postMessage("a");
  equal(await once(worker, "message"), [{ got: "a" }]);
  worker.postMessage(new Uint8Array([1]));
  equal(await once(worker, "message"), [{ got: new Uint8Array([1]) }]);
  const exited = once(worker, "exit");
  worker.postMessage(null);
  equal(await exited, [0]);
});

await test("node:worker_threads: a thread may await its first message", async () => {
  const file = write(
    "await.mjs",
    `import { once } from "node:events";
    import { parentPort } from "node:worker_threads";
    parentPort.postMessage(await new Promise((resolve) => parentPort.once("message", resolve)));`,
  );
  const worker = new Worker(file);
  worker.postMessage("a");
  equal(await events(worker), [["message", "a"], ["exit", 0]]);
});

await test("node:worker_threads: ports and buffers are transferred", async () => {
  const { port1, port2 } = new MessageChannel();
  const buffer = new ArrayBuffer(8);
  const worker = evaluate(
    `workerData.port.on("message", ({ buffer }) => {
      workerData.port.postMessage(buffer.byteLength);
      workerData.port.close();
    });`,
    { workerData: { port: port2 }, transferList: [port2] },
  );
  const exited = once(worker, "exit");
  port1.postMessage({ buffer }, [buffer]);
  equal(buffer.byteLength, 0);
  equal(await once(port1, "message"), [8]);
  equal(await exited, [0]);
  await throws(() => evaluate("", { workerData: { port: port1 } }), "DOMException");
  port1.close();
});

await test("node:worker_threads: memory is shared", async () => {
  const shared = new Int32Array(new SharedArrayBuffer(4));
  await run("Atomics.add(workerData, 0, 5)", { workerData: shared });
  equal(shared[0], 5);
});

await test("node:worker_threads: exceptions are errors of the thread", async () => {
  equal(await run(`throw new RangeError("a")`), [["error", "RangeError", "a"], ["exit", 1]]);
  equal(await run(`Promise.reject(new TypeError("a"))`), [["error", "TypeError", "a"], ["exit", 1]]);
  equal(await run(`process.on("exit", () => process.exitCode = 42); setTimeout(() => { throw new Error("a") })`), [
    ["error", "Error", "a"],
    ["exit", 42],
  ]);
  equal(await run(`process.on("uncaughtException", ({ message }) => parentPort.postMessage(message));
    setTimeout(() => { throw new Error("a") })`), [["message", "a"], ["exit", 0]]);
  equal(await events(new Worker("/no/such/module.js")), [
    ["error", "Error", "Cannot find module '/no/such/module.js'"],
    ["exit", 1],
  ]);
});

await test("node:worker_threads: a thread sets its exit code", async () => {
  equal(await run("process.exit(7)"), [["exit", 7]]);
  equal(await run(`process.exitCode = 5; process.on("exit", (code) => parentPort.postMessage(code))`), [
    ["message", 5],
    ["exit", 5],
  ]);
});

await test("node:worker_threads: a thread is terminated", async () => {
  const worker = evaluate("for (;;);");
  await once(worker, "online");
  const exited = once(worker, "exit");
  equal([await worker.terminate(), await exited, await worker.terminate()], [1, [1], undefined]);
  const waiting = evaluate(`parentPort.on("message", () => {}); setInterval(() => {}, 1e6);`);
  equal(await waiting.terminate(), 1);
});

await test("node:worker_threads: the environment is copied, replaced or shared", async () => {
  process.env.OPENKV_THREAD = "a";
  const script = `parentPort.postMessage(process.env.OPENKV_THREAD); process.env.OPENKV_THREAD = "b"`;
  equal(await run(script), [["message", "a"], ["exit", 0]]);
  equal(process.env.OPENKV_THREAD, "a");
  equal(await run(script, { env: { OPENKV_THREAD: "c" } }), [["message", "c"], ["exit", 0]]);
  equal(process.env.OPENKV_THREAD, "a");
  equal(await run(script, { env: SHARE_ENV }), [["message", "a"], ["exit", 0]]);
  equal(process.env.OPENKV_THREAD, "b");
  delete process.env.OPENKV_THREAD;
});

await test("node:worker_threads: environment data is inherited", async () => {
  setEnvironmentData("key", { a: 1 });
  equal(await run(`parentPort.postMessage(require("worker_threads").getEnvironmentData("key"))`), [
    ["message", { a: 1 }],
    ["exit", 0],
  ]);
});

await test("node:worker_threads: standard streams connect to the parent", async () => {
  // A thread also writes to the streams of the process.
  const file = write(
    "streams.mjs",
    `import { text } from "node:stream/consumers";
    import { Worker } from "node:worker_threads";
    const script = 'process.stdin.on("data", (data) => process.stderr.write("got " + data))';
    const worker = new Worker(script, { eval: true, stdin: true });
    worker.stdin.end("input");
    console.log(await text(worker.stderr));`,
  );
  const { stdout } = await new Deno.Command(Deno.execPath(), { args: ["run", "-A", file] }).output();
  equal(new TextDecoder().decode(stdout), "got input\n");
});

await test("node:worker_threads: the heap and the stack are limited", async () => {
  const resourceLimits = { maxOldGenerationSizeMb: 24, maxYoungGenerationSizeMb: 4, stackSizeMb: 8 };
  const script = `const { resourceLimits: r } = require("worker_threads");
    parentPort.postMessage([r.maxOldGenerationSizeMb, r.maxYoungGenerationSizeMb, r.stackSizeMb])`;
  equal(await run(script, { resourceLimits }), [["message", [24, 4, 8]], ["exit", 0]]);
  const grow = "const all = []; for (;;) all.push(new Array(1000).fill(1))";
  equal(await run(grow, { resourceLimits }), [
    ["error", "Error", "Worker terminated due to reaching memory limit: JS heap out of memory", "ERR_WORKER_OUT_OF_MEMORY"],
    ["exit", 1],
  ]);
});

await test("node:worker_threads: threads send messages to each other by id", async () => {
  const other = evaluate(`process.on("workerMessage", (message, sender) => parentPort.postMessage([message, sender]));
    parentPort.on("message", () => process.exit());`);
  await once(other, "online");
  const received = once(other, "message");
  // The listener may not have been added yet.
  while (!await postMessageToThread(other.threadId, "a").then(() => true, () => false));
  equal(await received, [["a", 0]]);
  const [message, sender] = (await Promise.all([
    once(other, "message"),
    run(`postMessageToThread(${other.threadId}, "b").then(() => parentPort.postMessage("sent"))`),
  ]))[0][0];
  equal([message, sender > other.threadId], ["b", true]);
  const failing = evaluate(`process.on("workerMessage", () => { throw new Error("a") }); parentPort.on("message", () => {})`);
  await once(failing, "online");
  let code;
  do {
    code = await postMessageToThread(failing.threadId, "a").catch(({ code }) => code);
  } while (code === "ERR_WORKER_MESSAGING_FAILED");
  equal(code, "ERR_WORKER_MESSAGING_ERRORED");
  await failing.terminate();
  other.postMessage("end");
  await once(other, "exit");
  await throws(() => postMessageToThread(other.threadId, "a"), "ERR_WORKER_MESSAGING_FAILED");
  await throws(() => postMessageToThread(0, "a"), "ERR_WORKER_MESSAGING_SAME_THREAD");
});

await test("node:worker_threads: a thread that is not referenced does not keep the process alive", async () => {
  const file = write(
    "unref.mjs",
    `import { Worker } from "node:worker_threads";
    new Worker("setInterval(() => {}, 1e6)", { eval: true }).unref();`,
  );
  const { code } = await new Deno.Command(Deno.execPath(), { args: ["run", "-A", file] }).output();
  equal(code, 0);
});

await test("node:worker_threads: threads start threads, and use databases", async () => {
  const path = `${directory}/kv`;
  equal(
    await run(
      `const { Worker } = require("worker_threads");
      new Worker(\`Deno.openKv(\${JSON.stringify(workerData)}).then(async (kv) => {
        await kv.set(["a"], 1);
        kv.close();
      })\`, { eval: true }).on("exit", (code) => parentPort.postMessage(code));`,
      { workerData: path },
    ),
    [["message", 0], ["exit", 0]],
  );
  using kv = await Deno.openKv(path);
  equal((await kv.get(["a"])).value, 1);
});

await test("node:worker_threads: the time that a thread has used is known", async () => {
  const worker = evaluate(`parentPort.on("message", () => process.exit())`);
  await once(worker, "online");
  // Its type declarations lack this method.
  const usage = () => (worker as unknown as { cpuUsage(): Promise<NodeJS.CpuUsage> }).cpuUsage();
  const { user, system } = await usage();
  equal([user >= 0, system >= 0], [true, true]);
  worker.postMessage("end");
  await once(worker, "exit");
  await throws(usage, "ERR_WORKER_NOT_RUNNING");
});

Deno.removeSync(directory, { recursive: true });
