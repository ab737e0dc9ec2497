Deno.test("excluded", () => {
  throw new Error("not run");
});
Deno.test.only("only this", () => {});
Deno.test({ name: "and this", only: true, fn: () => {} });
