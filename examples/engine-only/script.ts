// Shares a file with the Rust program in this directory: stores a user, requests a greeting, and waits for it.
const kv = await Deno.openKv(Deno.args[0]);

await kv.set(["visits", 1], new Deno.KvU64(7n));
await kv.set(["visits", "raw"], new Uint8Array([1, 2, 3]));
await kv.set(["users", "alice"], {
  name: "Alice",
  age: 30,
  born: new Date(86_400_000),
  languages: new Set(["Français", "日本語"]),
  scores: new Map([["go", 1.5]]),
  nickname: undefined,
});

await kv.enqueue({ greet: "alice" });
interface Greeting {
  text: string;
  at: Date;
}
for await (const [greeting] of kv.watch<[Greeting]>([["greetings", "alice"]])) {
  if (greeting.value === null) continue;
  const { text, at } = greeting.value;
  console.log(text, at instanceof Date, (await kv.get(["greeted"])).value);
  break;
}

await kv.set(["done"], "the script is done");
kv.close();
