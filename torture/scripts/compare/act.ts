// Sets the key that observe.ts watches, and enqueues a message for its listener.
const kv = await Deno.openKv(Deno.args[0]);
await kv.set(["watched"], 1);
await kv.enqueue("message");
kv.close();
