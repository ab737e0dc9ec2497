import { contents, equal, hasten, memory, until } from "../harness.ts";

async function store(kv: Deno.Kv, responseData: unknown) {
  //# block
  return user;
}

const kv = await memory();
const stored = [
  [["cache", "apiResponse"], { status: 200, items: [1, 2, 3] }],
  [["config", "apiUrl"], "https://api.example.com"],
  [["users", "user123"], await store(kv, { status: 200, items: [1, 2, 3] })],
];
equal(await contents(kv), stored);

// The expiring value disappears, the others remain.
const requested = hasten(kv);
const user = await store(kv, { status: 404 });
equal(requested, [60_000]);
await until(async () => (await kv.get(["cache", "apiResponse"])).value === null);
equal(await contents(kv), [stored[1], [["users", "user123"], user]]);
