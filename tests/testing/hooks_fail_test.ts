Deno.test.beforeAll(() => {
  throw new Error("setup failed");
});
Deno.test.afterAll(() => console.log("after all"));
Deno.test("never runs", () => console.log("test"));
