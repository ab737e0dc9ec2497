import { helper } from "./helper.ts";

Deno.test("error with a cause", () => {
  throw new Error("outer", { cause: new TypeError("inner") });
});
Deno.test("error in another module", () => helper());
Deno.test("text", () => Promise.reject("text"));
Deno.test("object", () => {
  throw { a: 1 };
});
Deno.test("several errors", () => {
  throw new AggregateError([new Error("a"), new Error("b")], "both");
});
Deno.test("exit", () => Deno.exit(3));
Deno.test("exit code", () => {
  Deno.exitCode = 4;
});
Deno.test("pending", () => new Promise(() => {}));
Deno.test("too slow", { timeout: 20 }, () => new Promise((resolve) => setTimeout(resolve, 100_000)));
Deno.test("busy", { timeout: 20 }, () => {
  while (true);
});
Deno.test("a test in a test", () => Deno.test("inner", () => {}));
Deno.test("permissions", { permissions: { read: false } }, () => {
  Deno.readTextFileSync("helper.ts");
});
Deno.test("no permissions", { permissions: "none" }, async () => {
  await Deno.openKv("denied.sqlite3");
});
Deno.test("permissions are back", () => {
  Deno.readTextFileSync("helper.ts");
});
