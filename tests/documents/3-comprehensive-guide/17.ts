//# because it contains no code: tests what the preceding text says about each option
import { equal, listed, memory } from "../harness.ts";

const kv = await memory();
for (const letter of "abcde") await kv.set(["letters", letter], letter);

//# block

const prefix = ["letters"];
const letters = async (selector: Deno.KvListSelector, options: Deno.KvListOptions) =>
  (await listed<string>(kv.list(selector, options))).map(([, letter]) => letter).join("");
equal(await letters({ prefix }, { limit: 2 }), "ab");
equal(await letters({ prefix }, { reverse: true }), "edcba");
equal(await letters({ prefix, start: ["letters", "c"] }, { reverse: true }), "edc");
equal(await letters({ prefix, end: ["letters", "c"] }, { reverse: true }), "ba");
equal(await letters({ start: ["letters", "b"], end: ["letters", "d"] }, { reverse: true }), "cb");
equal(await letters({ prefix }, { batchSize: 2 }), "abcde");
for (const consistency of ["strong", "eventual"] as const) equal(await letters({ prefix }, { consistency }), "abcde");

const first = kv.list({ prefix }, { limit: 2 });
await listed(first);
equal(await letters({ prefix }, { cursor: first.cursor }), "cde");
equal(await letters({ prefix }, { cursor: first.cursor, limit: 1 }), "c");
