//# because a dot is doubled, `get` is not awaited, and the id is read from the entry instead of its value
import { after, contents, equal, memory, throws } from "../harness.ts";

interface User {
  id: number;
  name: string;
  phone: string;
}

const kv: any = await memory();
const user = { id: 123, name: "Joan Smith", phone: "2071231234" };
await kv.set(["user", 123], user);

// With one dot, the argument of the check is a promise, which has no key.
async function withOneDot() {
  //# replace `atomic().` with `atomic()`
  //# block
  return await ok;
}
await throws(withOneDot, "TypeError", "A key must be an array: received undefined");

// With the entry awaited, the key of the set has an undefined part.
async function awaited() {
  //# replace `atomic().` with `atomic()`
  //# replace `kv.get` with `await kv.get`
  //# block
  return await ok;
}
await throws(awaited, "TypeError", "expected string, number, bigint, ArrayBufferView, boolean");
equal(await contents(kv), [[["user", 123], user]]);

async function asMeant() {
  //# replace `atomic().` with `atomic()`
  //# replace `kv.get` with `await kv.get`
  //# replace `user.id` with `user.value.id`
  //# block
  return await ok;
}
equal((await asMeant()).ok, true);
equal(await contents(kv), [[["user", 123], { ...user, phone: "2070987654" }]]);

// "If a check() fails, then any persistent operation in the chain will be bypassed", and `ok` is false.
after(kv, "get", () => kv.set(["user", 123], user));
equal(await asMeant(), { ok: false });
equal(await contents(kv), [[["user", 123], user]]);
