// Tests of the Node.js built-in modules for processes and threads.

import childProcess, { exec, execFileSync, fork, spawn, spawnSync } from "node:child_process";
import cluster from "node:cluster";
import { once } from "node:events";
import { text } from "node:stream/consumers";
import threads, { isMainThread, MessageChannel as NodeChannel, receiveMessageOnPort } from "node:worker_threads";
import { equal, test } from "../conformance/harness.ts";

await test("node:child_process runs programs", async () => {
  equal(execFileSync("echo", ["a"], { encoding: "utf8" }), "a\n");
  const child = spawn("cat");
  const closed = once(child, "close");
  child.stdin.end("input");
  equal([await text(child.stdout), await closed], ["input", [0, null]]);
  equal(spawnSync("false").status, 1);
  equal(
    await new Promise((resolve) => exec("echo $A", { env: { A: "b" } }, (_error, output) => resolve(output))),
    "b\n",
  );
  const [error] = await once(childProcess.spawn("./no-such-program"), "error");
  equal(error.code, "ENOENT");
});

await test("node:child_process forks a module and exchanges messages", async () => {
  const file = Deno.makeTempFileSync({ suffix: ".mjs" });
  Deno.writeTextFileSync(
    file,
    "process.on('message', (m) => { process.send({ got: m, argv: process.argv.slice(2) }); process.disconnect(); });",
  );
  const child = fork(file, ["arg"]);
  const exited = once(child, "exit");
  child.send({ a: 1 });
  const [message] = await once(child, "message");
  equal(message, { got: { a: 1 }, argv: ["arg"] });
  equal(await exited, [0, null]);
  Deno.removeSync(file);
});

await test("node:cluster shares a port between processes", async () => {
  equal([cluster.isPrimary, cluster.isWorker], [true, false]);
  const exec = Deno.makeTempFileSync({ suffix: ".mjs" });
  Deno.writeTextFileSync(
    exec,
    `import http from "node:http";
    import cluster from "node:cluster";
    http.createServer((_, response) => response.end(String(cluster.worker.id))).listen(0, "127.0.0.1");`,
  );
  cluster.setupPrimary({ exec });
  const workers = [cluster.fork(), cluster.fork()];
  const [[{ port }]] = await Promise.all(workers.map((worker) => once(worker, "listening")));
  const found = new Set<string>();
  while (found.size < 2) {
    const response = await fetch(`http://127.0.0.1:${port}`, { headers: { connection: "close" } });
    found.add(await response.text());
  }
  equal([...found].sort(), ["1", "2"]);
  await Promise.all(workers.map((worker) => {
    worker.kill();
    return once(worker, "exit");
  }));
  Deno.removeSync(exec);
});

await test("node:worker_threads has a main thread and message ports", () => {
  const { port1, port2 } = new NodeChannel();
  port1.postMessage("a");
  equal([receiveMessageOnPort(port2), isMainThread, threads.threadId], [{ message: "a" }, true, 0]);
  port1.close();
  port2.close();
});

await test("process emits beforeExit and exit", async () => {
  const file = Deno.makeTempFileSync({ suffix: ".mjs" });
  Deno.writeTextFileSync(
    file,
    `let more = 1;
    process.on("beforeExit", () => { console.log("before"); if (more--) setTimeout(() => console.log("more"), 1); });
    process.on("exit", (code) => console.log("exit", code));
    process.exitCode = 3;`,
  );
  const { code, stdout } = await new Deno.Command(Deno.execPath(), { args: ["run", "-A", file] }).output();
  equal([code, new TextDecoder().decode(stdout)], [3, "before\nmore\nbefore\nexit 3\n"]);
  Deno.removeSync(file);
});

await test("process handles uncaught exceptions and unhandled rejections", async () => {
  const file = Deno.makeTempFileSync({ suffix: ".mjs" });
  Deno.writeTextFileSync(
    file,
    `process.on("uncaughtException", (error, origin) => console.log(origin, error.message));
    process.on("unhandledRejection", (error) => console.log("rejection", error.message));
    Promise.reject(new Error("b"));
    process.on("unhandledRejection", () => setTimeout(() => { throw new Error("a") }, 1));`,
  );
  const { code, stdout } = await new Deno.Command(Deno.execPath(), { args: ["run", "-A", file] }).output();
  equal([code, new TextDecoder().decode(stdout)], [0, "rejection b\nuncaughtException a\n"]);
  Deno.removeSync(file);
});
