//# because it holds no code: what the text before it says of `getMany`
import { equal, memory } from "../harness.ts";

const kv = await memory();
const { versionstamp } = await kv.atomic().set(["a"], 1).set(["c"], 3).commit() as Deno.KvCommitResult;

//# block

// As many results as keys, in their order.
equal(await kv.getMany([["c"], ["b"], ["a"], ["c"]]), [
  { key: ["c"], value: 3, versionstamp },
  { key: ["b"], value: null, versionstamp: null },
  { key: ["a"], value: 1, versionstamp },
  { key: ["c"], value: 3, versionstamp },
]);
equal(await kv.getMany([]), []);
