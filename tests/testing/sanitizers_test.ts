Deno.test("file", () => {
  Deno.openSync("helper.ts");
});
Deno.test("timers", () => {
  setTimeout(() => {}, 100_000);
  setInterval(() => {}, 100_000);
});
Deno.test("operation", () => {
  const listener = Deno.listen({ port: 0, hostname: "127.0.0.1" });
  listener.accept().catch(() => {});
});
Deno.test("database", async () => {
  await Deno.openKv(":memory:");
});
Deno.test("no leaks", async () => {
  using file = Deno.openSync("helper.ts");
  using kv = await Deno.openKv(":memory:");
  await kv.set(["a"], file.statSync().size);
  clearTimeout(setTimeout(() => {}, 100_000));
});
Deno.test("permission to leak", { sanitizeResources: false, sanitizeOps: false }, () => {
  Deno.openSync("helper.ts");
  setTimeout(() => {}, 100_000);
});
Deno.test.sanitizer({ ops: false, resources: false });
Deno.test("permission of the module", () => {
  Deno.openSync("helper.ts");
});
