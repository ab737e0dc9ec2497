Deno.test("before", () => {});
Deno.test("throws later", async () => {
  setTimeout(() => {
    throw new Error("late");
  }, 1);
  await new Promise((resolve) => setTimeout(resolve, 100_000));
});
Deno.test("after", () => {});
Deno.test.ignore("ignored after", () => {});
