//# flags --allow-env=DENO_DEPLOYMENT_ID --allow-read=local.db --allow-write=local.db
import { contents, equal, output } from "../harness.ts";

async function open(): Promise<Deno.Kv> {
  //# block
  return kv;
}

const local = await open();
equal(output(), ["Using local KV store"]);
await local.set(["stored"], "in the file");
equal(await contents(await Deno.openKv("./local.db")), [[["stored"], "in the file"]]);

Deno.env.set("DENO_DEPLOYMENT_ID", "production");
const deployed = await open();
equal(output(), ["Using Deno Deploy KV store"]);
await deployed.set(["stored"], "by default");
equal(await contents(await Deno.openKv()), [[["stored"], "by default"]]);
