import { equal, listed, memory, output } from "../harness.ts";

const kv = await memory();
const all: [Deno.KvKey, unknown][] = [];
for (let number = 10; number < 35; number++) {
  all.push([["users", `user${number}`], { number }]);
  await kv.set(...all.at(-1)!);
}
await kv.set(["user", "of another prefix"], {});
await kv.set(["userz", "of another prefix"], {});

const page1 = kv.list({ prefix: ["users"] }, { limit: 10 });
await listed(page1);
const previousCursor = page1.cursor;

//# block

equal(output(), all.map(([key, value]) => `${Deno.inspect(key)} ${Deno.inspect(value)}`));
equal(await listed(firstTenUsers), all.slice(0, 10));
equal(await listed(page2), all.slice(10, 20));
equal(await listed(recentUsers), all.toReversed());
