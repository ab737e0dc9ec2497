import { equal, memory, output } from "../harness.ts";

interface User {
  name: string;
  email: string;
}

async function read(kv: Deno.Kv) {
  //# block
}

const kv = await memory();
await read(kv);
equal(output(), ["Version: null"]);

await kv.set(["config", "apiUrl"], "https://api.example.com");
const { versionstamp } = await kv.set(["users", "user123"], { name: "John Doe", email: "john@example.com" });
await read(kv);
equal(output(), ["API URL: https://api.example.com", "User: John Doe (john@example.com)", `Version: ${versionstamp}`]);
