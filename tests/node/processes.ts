// The modules of Node.js for processes and threads.

import childProcess, { exec, execFileSync, fork, spawn, spawnSync } from "node:child_process";
import cluster from "node:cluster";
import { once } from "node:events";
import { text } from "node:stream/consumers";
import threads, { isMainThread, MessageChannel as NodeChannel, receiveMessageOnPort } from "node:worker_threads";
import { equal, test } from "../conformance/harness.ts";

await test("node:child_process runs programs", async () => {
  equal(execFileSync("echo", ["a"], { encoding: "utf8" }), "a\n");
  const child = spawn("cat");
  child.stdin.end("input");
  equal([await text(child.stdout), await once(child, "close")], ["input", [0, null]]);
  equal(spawnSync("false").status, 1);
  equal(
    await new Promise((resolve) => exec("echo $A", { env: { A: "b" } }, (_error, output) => resolve(output))),
    "b\n",
  );
  const [error] = await once(childProcess.spawn("./no-such-program"), "error");
  equal(error.code, "ENOENT");
});

await test("node:child_process starts modules, and sends them messages", async () => {
  const file = Deno.makeTempFileSync({ suffix: ".mjs" });
  Deno.writeTextFileSync(
    file,
    "process.on('message', (m) => { process.send({ got: m, argv: process.argv.slice(2) }); process.disconnect(); });",
  );
  const child = fork(file, ["arg"]);
  child.send({ a: 1 });
  const [message] = await once(child, "message");
  equal(message, { got: { a: 1 }, argv: ["arg"] });
  equal(await once(child, "exit"), [0, null]);
  Deno.removeSync(file);
});

await test("node:cluster is in its first process", () => {
  equal([cluster.isPrimary, cluster.isWorker], [true, false]);
});

await test("node:worker_threads is in its first thread, and has ports", () => {
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

await test("process takes what nobody else catches", async () => {
  const file = Deno.makeTempFileSync({ suffix: ".mjs" });
  Deno.writeTextFileSync(
    file,
    `process.on("uncaughtException", (error, origin) => console.log(origin, error.message));
    process.on("unhandledRejection", (error) => console.log("rejection", error.message));
    setTimeout(() => { throw new Error("a") }, 1);
    Promise.reject(new Error("b"));`,
  );
  const { code, stdout } = await new Deno.Command(Deno.execPath(), { args: ["run", "-A", file] }).output();
  equal([code, new TextDecoder().decode(stdout)], [0, "rejection b\nuncaughtException a\n"]);
  Deno.removeSync(file);
});
