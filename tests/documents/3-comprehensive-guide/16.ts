//# because it contains no code: tests what the preceding text says about a prefix with `start` or `end`
import { equal, listed, memory } from "../harness.ts";

const kv = await memory();
for (const letter of "abcde") await kv.set(["letters", letter], letter);
await kv.set(["z"], "beyond the prefix");

//# block

const letters = async (selector: Deno.KvListSelector) =>
  (await listed<string>(kv.list(selector))).map(([, letter]) => letter).join("");
equal(await letters({ prefix: ["letters"], start: ["letters", "c"] }), "cde");
equal(await letters({ prefix: ["letters"], end: ["letters", "c"] }), "ab");
equal(await letters({ prefix: ["letters"] }), "abcde");
