import { equal, listed, memory, output } from "../harness.ts";

interface User {
  number: number;
}

const kv = await memory();
const all: [Deno.KvKey, User][] = [];
for (let number = 10; number < 35; number++) {
  all.push([["users", `user${number}`], { number }]);
  await kv.set(...all.at(-1)!);
}
await kv.set(["posts", "1"], {});

//# block

equal(output(), all.map(([key, value]) => `${Deno.inspect(key)} ${Deno.inspect(value)}`));
equal(await listed(firstTen), all.slice(0, 10));
