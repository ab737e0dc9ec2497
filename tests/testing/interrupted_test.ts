// A test that times out while it loads an extension must not leave it half loaded.
import process from "node:process";

const names = ["node:http", "node:crypto", "node:zlib", "node:readline", "node:worker_threads"];
for (const name of names) {
  Deno.test(`loads ${name}`, { timeout: 2 }, () => {
    process.getBuiltinModule(name);
    while (true);
  });
}

Deno.test("all are loaded", () => {
  for (const name of names) {
    if (!process.getBuiltinModule(name)) throw new Error(`${name} is missing`);
  }
});
