//# because it contains no code: tests what the preceding text says about pages by the iterator's cursor
import { equal, memory } from "../harness.ts";

const kv = await memory();
for (const letter of "abcde") await kv.set(["letters", letter], letter);

//# block

for (const [reverse, expected] of [[false, ["ab", "cd", "e"]], [true, ["ed", "cb", "a"]]] as const) {
  const pages: string[] = [];
  let cursor: string | undefined;
  do {
    let page = "";
    const iterator = kv.list<string>({ prefix: ["letters"] }, { limit: 2, cursor, reverse });
    for await (const { value } of iterator) page += value;
    cursor = iterator.cursor;
    if (page !== "") pages.push(page);
  } while (cursor !== "");
  equal(pages, expected);
}
