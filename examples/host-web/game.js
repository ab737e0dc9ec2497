// Plays ping-pong with Rust: each side writes a key that the other watches.

const kv = await Deno.openKv("game.db");

for await (const [pong] of kv.watch([["pong"]])) {
  const number = pong.value?.value ?? 0n;
  console.log("pong:", number);
  if (number === 3n) break;
  await kv.set(["ping"], new Deno.KvU64(number + 1n));
}

const other = await Deno.openKv("./game.db");
await other.listenQueue((message) => {
  console.log("message:", message);
  other.close();
});
await kv.enqueue("well played");

await kv.set(["picture"], { name: "ball", blob: new Blob(["a ball"], { type: "text/plain" }) });
const { value } = await kv.get(["picture"]);
console.log(value, await value.blob.text());

// This host does not allow these.
for (const path of ["../game.db", "/tmp/game.db", "game.sqlite3"]) {
  await Deno.openKv(path).catch((error) => console.log(`${error.name}: ${error.message}`));
}
