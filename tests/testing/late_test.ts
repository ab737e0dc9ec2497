// Tests that have timed out keep running. They must not lift the restrictions of the next test.

let release = () => {};
const gate = new Promise<void>((resolve) => release = resolve);
const tick = () => new Promise((resolve) => setTimeout(resolve, 0));
const outcome = async (fn: () => unknown) => {
  try {
    await fn();
    return "allowed";
  } catch (error) {
    return (error as Error).message.split("\n")[0];
  }
};

Deno.test("too slow", { timeout: 20 }, async (t) => {
  // Keeps the event loop alive.
  const timer = setInterval(() => {}, 100_000);
  await gate;
  clearInterval(timer);
  console.log("step:", await outcome(() => t.step("late", () => {})));
  Deno.exitCode = 0;
});

Deno.test("next", { permissions: "none" }, async () => {
  release();
  await tick();
  console.log("read:", await outcome(() => Deno.readTextFile("helper.ts")));
  console.log("exit:", await outcome(() => Deno.exit(0)));
});

Deno.test("too slow again", { timeout: 20, permissions: "none" }, () => new Promise((resolve) => setTimeout(resolve, 100_000)));

Deno.test.afterAll(async () => {
  console.log("read afterwards:", await outcome(() => Deno.readTextFile("helper.ts")));
});
