Deno.test.beforeAll(() => console.log("before all 1"));
Deno.test.beforeAll(async () => console.log("before all", await 2));
Deno.test.beforeEach(() => console.log("before each 1"));
Deno.test.beforeEach(() => console.log("before each 2"));
Deno.test.afterEach(() => console.log("after each 1"));
Deno.test.afterEach(() => console.log("after each 2"));
Deno.test.afterAll(() => console.log("after all 1"));
Deno.test.afterAll(() => console.log("after all 2"));
addEventListener("unload", () => console.log("unload"));
console.log("loaded");

Deno.test("passes", () => console.log("test"));
Deno.test("fails", () => {
  throw new Error("after each still runs");
});
Deno.test.ignore("ignored", () => {});
