//# because it contains no code: tests what the preceding text says about `start` and `end`
import { equal, listed, memory } from "../harness.ts";

const kv = await memory();
for (const letter of "abcde") await kv.set([letter], letter);

//# block

// The start is inclusive, the end exclusive.
const range = kv.list<string>({ start: ["b"], end: ["d"] });
equal((await listed(range)).map(([, letter]) => letter), ["b", "c"]);
