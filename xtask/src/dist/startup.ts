// Does what many scripts do, so that the functions it runs are grouped in the binary: see `cargo xtask dist`.
interface Note {
  text: string;
  tags: Set<string>;
  at?: Date;
}

const note: Note = { text: "hello", tags: new Set(["a", "b"]), at: new Date(0) };
console.log(note, [1n, 2.5, null], new Map([["key", new Uint8Array(4)]]));
console.log(new Error("shown"), Deno.args, Deno.env.get("HOME"), Deno.version);

await new Promise((resolve) => setTimeout(resolve, 1));
const copy = structuredClone({ ...note, at: new Date() });
JSON.parse(JSON.stringify(copy, null, 2));
`${copy.text} world`.replace(/o(\s)?/gu, "0").split(" ").map((word) => word.toUpperCase()).toSorted();
new TextDecoder().decode(new TextEncoder().encode(new URL("../a?b=c", "https://example.com/d/").href));
await crypto.subtle.digest("SHA-256", new Uint8Array(16));
try {
  await Deno.readTextFile("/no/such/file");
} catch (error) {
  if (!(error instanceof Deno.errors.NotFound)) throw error;
}

const kv = await Deno.openKv(":memory:");
await kv.set(["notes", crypto.randomUUID()], note);
for await (const entry of kv.list<Note>({ prefix: ["notes"] })) {
  await kv.atomic().check(entry).delete(entry.key).sum(["count"], 1n).commit();
}
await kv.getMany([["count"], ["notes"]]);

const server = Deno.serve({ port: 0, onListen() {} }, async (request) => {
  const { value } = await kv.get<Deno.KvU64>(["count"]);
  return Response.json({ path: new URL(request.url).pathname, count: String(value) });
});
const response = await fetch(`http://localhost:${server.addr.port}/path`, { headers: { accept: "application/json" } });
console.log(response.status, await response.json());
await server.shutdown();
kv.close();
