//# because it holds no code: what the text before it says of `start` and `end`
import { equal, listed, memory } from "../harness.ts";

const kv = await memory();
for (const letter of "abcde") await kv.set([letter], letter);

//# block

// From the start, up to the end but without it.
const range = kv.list<string>({ start: ["b"], end: ["d"] });
equal((await listed(range)).map(([, letter]) => letter), ["b", "c"]);
