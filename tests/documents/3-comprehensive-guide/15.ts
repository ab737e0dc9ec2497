//# because it contains no code: tests what the preceding text says about an end that includes the last record
import { equal, listed, memory } from "../harness.ts";

const kv = await memory();
for (const letter of "abcde") await kv.set([letter], letter);

//# block

const range = kv.list<string>({ start: ["b"], end: ["zzzzzzzzzzz"] });
equal((await listed(range)).map(([, letter]) => letter), ["b", "c", "d", "e"]);
