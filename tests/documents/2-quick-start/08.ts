//# flags --allow-net=127.0.0.1
import { ascending, equal } from "../harness.ts";

// Uses a free port.
const { serve } = Deno;
const { promise: listening, resolve: onListen } = Promise.withResolvers<Deno.NetAddr>();
let server!: Deno.HttpServer;
Deno.serve = ((handler: Deno.ServeHandler) => {
  server = serve({ hostname: "127.0.0.1", port: 0, onListen }, handler);
  return server;
}) as typeof Deno.serve;

//# block

const { port } = await listening;
const request = async () => await (await fetch(`http://127.0.0.1:${port}/`)).text();
equal(await request(), "Requests: 1");
equal(await request(), "Requests: 2");

// Fifty concurrent clients with six sequential requests each: every client sees the count increase.
const client = async () => {
  const responses: string[] = [];
  for (let i = 0; i < 6; i++) responses.push(await request());
  const counts = responses.map((response) => response.match(/^Requests: (\d+)$/)![1].padStart(3, "0"));
  equal(ascending(counts), true);
  return counts;
};
const counts = (await Promise.all(Array.from({ length: 50 }, client))).flat();
equal(counts.toSorted().at(-1), "302");
equal((await kv.get(["requests"])).value, 302);
equal(await request(), "Requests: 303");

await server.shutdown();
