import { equal, memory, throws } from "../harness.ts";

async function store(kv: Deno.Kv, fileId: string, largeString: string) {
  //# block
}

const kv = await memory();
await store(kv, "large", "é".repeat(32_768));
equal((await kv.get(["stats", "counter"])).value, new Deno.KvU64(0n));
const { value } = await kv.get<Uint8Array>(["files", "large"]);
equal([value instanceof Uint8Array, value!.length], [true, 65_536]);
equal(new TextDecoder().decode(value!), "é".repeat(32_768));

await throws(() => store(kv, "larger", "x".repeat(65_537)), "TypeError", "Value too large (max 65536 bytes)");
equal((await kv.get(["files", "larger"])).value, null);
