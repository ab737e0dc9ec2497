// A server for the load generator: openkv run -A benches/scale/server.ts DIRECTORY
// Prints its port.
import { user, userKey } from "../users.ts";

const kv = await Deno.openKv(`${Deno.args[0]}/kv.sqlite3`);
const key = userKey(0);
await kv.set(key, user(0));

const handlers: Record<string, () => Response | Promise<Response>> = {
  "/plain": () => new Response("Hello, world!"),
  "/get": async () => Response.json((await kv.get(key)).value),
  "/counter": async () => {
    await kv.atomic().sum(["requests"], 1n).commit();
    return new Response("counted");
  },
};

Deno.serve({ hostname: "127.0.0.1", port: 0, onListen: ({ port }) => console.log(port) }, (request) => {
  const { pathname } = new URL(request.url);
  return handlers[pathname]?.() ?? new Response("not found", { status: 404 });
});
