//# because it contains no code: tests what the preceding text says about `getMany`
import { equal, memory } from "../harness.ts";

const kv = await memory();
const { versionstamp } = await kv.atomic().set(["a"], 1).set(["c"], 3).commit() as Deno.KvCommitResult;

//# block

// One result for each key, in the order of the keys.
equal(await kv.getMany([["c"], ["b"], ["a"], ["c"]]), [
  { key: ["c"], value: 3, versionstamp },
  { key: ["b"], value: null, versionstamp: null },
  { key: ["a"], value: 1, versionstamp },
  { key: ["c"], value: 3, versionstamp },
]);
equal(await kv.getMany([]), []);
