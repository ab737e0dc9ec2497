// Runs all operations on databases, and prints their outcomes.
import { attempt } from "./attempt.ts";

for (const path of Deno.args) {
  let opened: Deno.Kv | undefined;
  await attempt("open", async () => {
    opened = await Deno.openKv(path);
  });
  if (!opened) continue;
  const kv = opened;
  await attempt("get", async () => (await kv.get(["a"])).value);
  await attempt("list", async () => (await Array.fromAsync(kv.list({ prefix: [] }))).length);
  await attempt("set", async () => void await kv.set(["b"], "x".repeat(60000)));
  await attempt("sum", async () => void await kv.atomic().sum(["n"], 1n).commit());
  await attempt("enqueue", async () => void await kv.enqueue("message"));
  await attempt("watch", async () => {
    const reader = kv.watch([["a"]]).getReader();
    const { value } = await reader.read();
    await reader.cancel();
    return value!.length;
  });
  await attempt("close", () => kv.close());
}
