// The parts of Deno that the conformance scripts use, for Node. Databases are opened with @deno/kv.
//   NODE_MODULES=DIRECTORY node --import ./tests/clients/node.mjs BUNDLE [ARGS]...
// BUNDLE is a script bundled by esbuild, and DIRECTORY a node_modules with @deno/kv.
import { createRequire } from "node:module";
import { inspect } from "node:util";
import v8 from "node:v8";

const require = createRequire(`${process.env.NODE_MODULES}/.`);
const { KvU64, openKv } = require("@deno/kv");

// Polyfills for older versions of Node.
Promise.withResolvers ??= () => {
  const parts = {};
  parts.promise = new Promise((resolve, reject) => Object.assign(parts, { resolve, reject }));
  return parts;
};
Promise.try ??= async (body) => await body();
Array.fromAsync ??= async (items) => {
  const array = [];
  for await (const item of items) array.push(item);
  return array;
};

// The scripts create typed arrays of each kind. Older versions of Node lack Float16Array.
globalThis.Float16Array ??= Float32Array;

class BadResource extends Error {}
class NotFound extends Error {}

globalThis.Deno = {
  args: process.argv.slice(2),
  cwd: () => process.cwd(),
  errors: { BadResource, NotFound },
  inspect: (value, { depth = 4 } = {}) => inspect(value, { depth, maxArrayLength: null, maxStringLength: null }),
  KvU64,
  openKv: (path) => openKv(path, { implementation: "remote", encodeV8: v8.serialize, decodeV8: v8.deserialize }),
  set exitCode(code) {
    process.exitCode = code;
  },
};
