const isDenoDeploy = Deno.env.get("DENO_DEPLOYMENT_ID") !== undefined;

const kv = isDenoDeploy
  ? await Deno.openKv()  // Use Deno Deploy's managed KV
  : await Deno.openKv("./local.db");  // Use local file

console.log(`Using ${isDenoDeploy ? "Deno Deploy" : "local"} KV store`);
