// A service that counts visits in KV, with hono, zod and a package of JSR.

import { Hono } from "hono";
import { HTTPException } from "hono/http-exception";
import { delay, pluralize } from "jsr:@kv/words@1";
import { z } from "zod";

const kv = await Deno.openKv("visits.sqlite3");
const Visit = z.object({ name: z.string().regex(/^\w+$/), times: z.coerce.number().int().min(1).max(9).default(1) });

const app = new Hono();
app.onError((error, c) => error instanceof HTTPException ? error.getResponse() : c.text(error.message, 500));
app.post("/visits", async (c) => {
  const visit = Visit.safeParse(await c.req.json());
  if (!visit.success) throw new HTTPException(422, { message: visit.error.issues[0].path.join(".") });
  // Many clients change the entry at once, so most attempts fail.
  const key = ["visits", visit.data.name];
  for (;;) {
    const entry = await kv.get<number>(key);
    const value = (entry.value ?? 0) + visit.data.times;
    if ((await kv.atomic().check(entry).set(key, value).commit()).ok) return c.json({ value }, 201);
    await delay(1);
  }
});
app.get("/visits/:name", async (c) => {
  const { value } = await kv.get<number>(["visits", c.req.param("name")]);
  return value === null ? c.notFound() : c.text(pluralize(value, "visit"));
});

const server = Deno.serve({ port: 0, hostname: "127.0.0.1", onListen() {} }, app.fetch);
const url = `http://127.0.0.1:${server.addr.port}/visits`;
const before = (await kv.get<number>(["visits", "ada"])).value ?? 0;
async function post(body: unknown) {
  const response = await fetch(url, { method: "POST", body: JSON.stringify(body) });
  return `${response.status} ${await response.text()}`;
}
await Promise.all(Array.from({ length: 8 }, async () => {
  for (let i = 0; i < 25; i++) await post({ name: "ada", times: i % 2 + 1 });
}));
const after = (await kv.get<number>(["visits", "ada"])).value!;
console.log("counted", after - before, await (await fetch(`${url}/ada`)).text() === pluralize(after, "visit"));
console.log(await post({ name: "ada", times: 10 }), "|", await post({ name: "not a name" }));
console.log((await fetch(`${url}/nobody`)).status, pluralize(1, "visit"));
await server.shutdown();
kv.close();
