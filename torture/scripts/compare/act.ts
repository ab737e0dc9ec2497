// Sets what observe.ts watches, and enqueues what it listens to.
const kv = await Deno.openKv(Deno.args[0]);
await kv.set(["watched"], 1);
await kv.enqueue("message");
kv.close();
