import { contents, equal, memory } from "../harness.ts";

const kv = await memory();
const userData = { name: "Alice" };
const profileData = { bio: "Writes." };

//# block

equal(await contents(kv, ["users"]), [[["users", "123"], userData], [["users", "123", "profile"], profileData]]);
await kv.set(keyPatterns.userSettings("123"), { theme: "dark" });
await kv.set(keyPatterns.session("token"), "123");
await kv.set(keyPatterns.cache("page", "home"), "<html>");
equal((await contents(kv)).map(([key]) => key), [
  ["cache", "page", "home"],
  ["sessions", "token"],
  ["users", "123"],
  ["users", "123", "profile"],
  ["users", "123", "settings"],
]);
