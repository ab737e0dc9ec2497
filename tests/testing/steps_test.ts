Deno.test("steps", async (t) => {
  const passed = await t.step("one", async (t) => {
    console.log(t.name, "in", t.parent.name);
    await t.step("nested", () => {});
    await t.step("nested and printing", () => Deno.stdout.writeSync(new TextEncoder().encode("no line break")));
  });
  const ignored = await t.step({ name: "ignored", ignore: true, fn() {} });
  await t.step(function named() {});
  console.log(passed, ignored);
});
Deno.test("failing step", async (t) => {
  const passed = await t.step("outer", async (t) => {
    await t.step("inner", () => {
      throw new Error("deep");
    });
  });
  console.log(passed, await t.step("next", () => {}));
});
Deno.test("a step that is not awaited", (t) => {
  t.step("slow", () => new Promise(() => {}));
});
let ended: Deno.TestContext;
Deno.test("concurrent steps", async (t) => {
  ended = t;
  const { promise, resolve } = Promise.withResolvers<void>();
  await Promise.all([t.step("first", () => promise), t.step("second", () => resolve())]);
});
Deno.test("a step of a test that has ended", async () => {
  await ended.step("late", () => {});
});
Deno.test("no step", async (t) => {
  await t.step("no function");
});
