import { equal, memory } from "../harness.ts";

const kv = await memory();
const ids = new Set<string>();
for (let user = 0; user < 100; user++) {
  //# block
  ids.add(userId);
  await kv.set(["user", userId], user);
}

equal(ids.size, 100);
equal((await Array.fromAsync(kv.list({ prefix: ["user"] }))).map(({ key }) => key[1]), [...ids].sort());
