Deno.test.beforeAll(() => {
  throw new Error("nothing to test on");
});
Deno.test.afterAll(() => console.log("after all"));
Deno.test("never runs", () => console.log("test"));
