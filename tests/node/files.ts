// Tests of the Node.js built-in modules for files, the system and terminals.

import fs from "node:fs";
import promises from "node:fs/promises";
import os from "node:os";
import readline from "node:readline";
import { createInterface } from "node:readline/promises";
import { PassThrough } from "node:stream";
import { text } from "node:stream/consumers";
import { equal, test, throws } from "../conformance/harness.ts";

const directory = fs.realpathSync(fs.mkdtempSync(`${os.tmpdir()}/openkv_`));
process.chdir(directory);

await test("node:fs reads and writes files", async () => {
  fs.writeFileSync("a", "text");
  fs.appendFileSync("a", " more");
  equal([fs.readFileSync("a", "utf8"), fs.existsSync("b"), fs.statSync("a").size], ["text more", false, 9]);
  const file = fs.openSync("a", "r+");
  fs.writeSync(file, "TEXT", 0);
  const bytes = Buffer.alloc(4);
  equal([fs.readSync(file, bytes, 0, 4, 0), bytes.toString()], [4, "TEXT"]);
  fs.closeSync(file);
  equal(await new Promise((resolve) => fs.readFile("b", (error) => resolve(error?.code))), "ENOENT");
  fs.mkdirSync("c/d", { recursive: true });
  fs.copyFileSync("a", "c/d/e");
  equal(fs.readdirSync("c", { recursive: true }).sort(), ["d", "d/e"]);
  fs.rmSync("c", { recursive: true });
  fs.symlinkSync("a", "link");
  equal([fs.readlinkSync("link"), fs.lstatSync("link").isSymbolicLink()], ["a", true]);
});

await test("node:fs streams files", async () => {
  const writer = fs.createWriteStream("streamed");
  await new Promise((resolve) => writer.end("streamed", resolve as () => void));
  equal(await text(fs.createReadStream("streamed", { start: 2 })), "reamed");
});

await test("node:fs/promises reads and writes files", async () => {
  await promises.writeFile("f", "text");
  await using handle = await promises.open("f", "r+");
  equal([(await handle.read(Buffer.alloc(4), 0, 4, 0)).bytesRead, (await handle.stat()).size], [4, 4]);
  await promises.rename("f", "g");
  equal([await promises.readFile("g", "utf8"), (await promises.readdir(".")).includes("f")], ["text", false]);
  await throws(() => promises.access("f"), "Error");
  for await (const line of (await promises.open("g")).readLines()) equal(line, "text");
  await promises.rm("g");
});

await test("node:os returns system information", () => {
  equal([os.EOL, os.platform(), os.cpus().length > 0, os.totalmem() > 0], ["\n", process.platform, true, true]);
  equal([os.userInfo().username.length > 0, os.hostname() === Deno.hostname(), os.constants.signals.SIGTERM], [
    true,
    true,
    15,
  ]);
});

await test("node:readline reads lines", async () => {
  const input = new PassThrough();
  input.end("one\ntwo");
  const lines: string[] = [];
  for await (const line of readline.createInterface({ input })) lines.push(line);
  equal(lines, ["one", "two"]);
});

await test("node:readline/promises reads an answer", async () => {
  const [input, output] = [new PassThrough(), new PassThrough()];
  const asker = createInterface({ input, output });
  const answer = asker.question("name? ");
  input.write("me\n");
  equal([await answer, output.read().toString()], ["me", "name? "]);
  asker.close();
});
