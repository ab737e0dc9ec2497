Deno.test("leaves a rejection", async () => {
  Promise.reject(new Error("unhandled"));
  await new Promise((resolve) => setTimeout(resolve, 100_000));
});
