//# because keys that follow each other without a semicolon index the first one: each key separately
import { contents, equal, memory } from "../harness.ts";

const kv = await memory();
const [settings] = [
  //# block 1-2
];
const [alice] = [
  //# block 4-5
];
const [bob] = [
  //# block 6
];
const [post] = [
  //# block 7
];
for (const key of [settings, bob, post, alice]) await kv.set(key, true);

// They form a hierarchy.
equal(await contents(kv), [[post, true], [settings, true], [alice, true], [bob, true]]);
equal(await contents(kv, ["users"]), [[["users", "alice"], true], [["users", "bob"], true]]);
equal(await contents(kv, ["posts", "2024"]), [[["posts", "2024", "01", "my-post"], true]]);
equal(await contents(kv, ["settings"]), []);

// "Key parts can be strings, numbers, booleans, Uint8Array, or bigints": all in one key.
const key = ["string", 1.5, true, new Uint8Array([0, 255]), 10n ** 30n];
await kv.set(key, "found");
equal(await contents(kv, key.slice(0, 4)), [[key, "found"]]);
