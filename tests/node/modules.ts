// Tests of the Node.js built-in modules for loading code, assertions, logging and debugging.

import assert from "node:assert";
import strict from "node:assert/strict";
import nodeConsole, { Console } from "node:console";
import inspector from "node:inspector";
import { Session } from "node:inspector/promises";
import module, { builtinModules, createRequire, isBuiltin } from "node:module";
import nodeProcess from "node:process";
import repl from "node:repl";
import { PassThrough } from "node:stream";
import tty from "node:tty";
import v8 from "node:v8";
import vm from "node:vm";
import { WASI } from "node:wasi";
import { equal, test, throws } from "../conformance/harness.ts";

const require = createRequire(import.meta.url);

await test("node:module creates a require function", () => {
  equal([require("fs") === require("node:fs"), require("node:module") === module], [true, true]);
  const directory = Deno.makeTempDirSync();
  Deno.mkdirSync(`${directory}/node_modules/pkg/lib`, { recursive: true });
  Deno.writeTextFileSync(`${directory}/node_modules/pkg/package.json`, `{ "name": "pkg", "main": "lib/main.js" }`);
  Deno.writeTextFileSync(
    `${directory}/node_modules/pkg/lib/main.js`,
    "exports.text = require('./data.json').text; exports.file = __filename;",
  );
  Deno.writeTextFileSync(`${directory}/node_modules/pkg/lib/data.json`, `{ "text": "data" }`);
  Deno.writeTextFileSync(
    `${directory}/main.cjs`,
    "module.exports = { ...require('pkg'), main: require.main === module, self: this === exports };",
  );
  Deno.writeTextFileSync(`${directory}/module.mjs`, "export const name = 'module';");
  const local = createRequire(`${directory}/`);
  const { text, file, self } = local("./main.cjs");
  equal([text, file.endsWith("/node_modules/pkg/lib/main.js"), self], ["data", true, true]);
  equal([local("./module.mjs").name, local.resolve("pkg") === file], ["module", true]);
  equal(local("./main.cjs") === local("./main.cjs"), true);
  try {
    local("./nothing");
  } catch (error) {
    equal((error as NodeJS.ErrnoException).code, "MODULE_NOT_FOUND");
  }
  Deno.removeSync(directory, { recursive: true });
});

await test("node:module loads CommonJS in TypeScript", () => {
  const file = Deno.makeTempFileSync({ suffix: ".cts" });
  Deno.writeTextFileSync(file, "const a: number = 1; export = { a };");
  equal(require(file).a, 1);
  Deno.removeSync(file);
});

await test("node:module recognizes built-in modules with and without the node: scheme", async () => {
  equal([isBuiltin("fs"), isBuiltin("node:test"), isBuiltin("test"), isBuiltin("zod")], [true, true, false, false]);
  equal([builtinModules.includes("fs/promises"), process.getBuiltinModule("os") === require("os")], [true, true]);
  const name = "path";
  equal((await import(name)).default === (await import("node:path")).default, true);
  await throws(() => import("node:" + "nonexistent"), "TypeError");
  equal([import.meta.resolve("fs"), import.meta.resolve("node:fs")], ["node:fs", "node:fs"]);
});

await test("node:process exports the global process", () => {
  equal([nodeProcess === process, globalThis.process === process, global === globalThis], [true, true, true]);
  equal([process.argv.length, process.argv[0] === Deno.execPath(), process.pid === Deno.pid], [
    2 + Deno.args.length,
    true,
    true,
  ]);
  equal([process.version, process.versions.node, typeof process.versions.deno], ["v26.5.1", "26.5.1", "string"]);
  equal([process.env.PATH === Deno.env.get("PATH"), process.cwd() === Deno.cwd()], [true, true]);
  process.env.OPENKV_TEST_VARIABLE = "a";
  equal([Deno.env.get("OPENKV_TEST_VARIABLE"), "OPENKV_TEST_VARIABLE" in process.env], ["a", true]);
  equal([process.hrtime.bigint() > 0n, process.memoryUsage().rss > 0, process.uptime() > 0], [true, true, true]);
  const { user, system } = process.threadCpuUsage();
  equal([user + system > 0, process.stdout.fd, process.release.name], [true, 1, "node"]);
});

await test("node:assert compares loosely", async () => {
  assert.deepEqual({ a: 1 }, { a: "1" });
  await assert.rejects(Promise.reject(new TypeError("a")), TypeError);
  await throws(() => assert.equal(1, 2), "AssertionError");
});

await test("node:assert/strict compares strictly", async () => {
  await throws(() => strict.deepEqual({ a: 1 }, { a: "1" }), "AssertionError");
});

await test("node:console logs to streams", () => {
  const output = new PassThrough();
  new Console(output).log("a", { b: 1 });
  equal([output.read().toString(), nodeConsole === console], ["a { b: 1 }\n", true]);
});

await test("node:v8 serializes values and returns heap statistics", () => {
  equal(v8.deserialize(v8.serialize(new Map([[1, { a: 2n }]]))), new Map([[1, { a: 2n }]]));
  equal([v8.getHeapStatistics().heap_size_limit > 0, v8.getHeapSpaceStatistics().length > 0], [true, true]);
});

await test("node:v8 deserializes values read from a database", async () => {
  using kv = await Deno.openKv(":memory:");
  await kv.set(["a"], v8.serialize({ a: [1] }));
  equal(v8.deserialize((await kv.get<Uint8Array>(["a"])).value as Uint8Array), { a: [1] });
});

await test("node:vm runs scripts in contexts", () => {
  const context = vm.createContext({ a: 1 });
  equal([vm.runInContext("a += 1; globalThis.b = 3; a", context), context.b, vm.isContext(context)], [2, 3, true]);
  equal([new vm.Script("1 + 1").runInThisContext(), vm.runInNewContext("typeof Deno")], [2, "undefined"]);
});

await test("node:inspector evaluates expressions in a session", async () => {
  const session = new inspector.Session();
  session.connect();
  const evaluated = await new Promise((resolve) => {
    session.post("Runtime.evaluate", { expression: "1 + 1" }, (_error, { result }) => resolve(result.value));
  });
  equal([evaluated, inspector.url()], [2, undefined]);
  session.disconnect();
});

await test("node:inspector/promises evaluates expressions in a session", async () => {
  const session = new Session();
  session.connect();
  const { result } = await session.post("Runtime.evaluate", { expression: "'a'" });
  equal(result.value, "a");
  session.disconnect();
});

await test("node:repl and node:tty can be imported", () => {
  equal([typeof repl.start, tty.isatty(-1)], ["function", false]);
});

await test("node:wasi runs WebAssembly", async () => {
  process.removeAllListeners("warning");
  const wasi = new WASI({ version: "preview1" });
  // (module (memory (export "memory") 0) (func (export "_start")))
  const bytes = "0061736d010000000104016000000302010005030100000713020" +
    "66d656d6f72790200065f737461727400000a040102000b";
  const { instance } = await WebAssembly.instantiate(
    new Uint8Array(Buffer.from(bytes, "hex")),
    wasi.getImportObject() as WebAssembly.Imports,
  );
  equal(wasi.start(instance), 0);
});
