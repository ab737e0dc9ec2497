// Stores blobs, or prints those of another process.
// deno-lint-ignore-file no-explicit-any
const [path, mode] = Deno.args;
const kv = await Deno.openKv(path);
const hmac = { name: "HMAC", hash: "SHA-256" };
if (mode === "write") {
  const whole = new Blob(["in ", new Uint8Array([98, 108]), "ob"], { type: "text/plain" });
  await kv.set(["blob"], whole);
  await kv.set(["file"], new File([whole.slice(3), "!"], "n.txt", { type: "text/x", lastModified: 5 }));
  await kv.set(["nested"], { map: new Map([["key", [whole.slice(0, 2)]]]) });
  await kv.set(["key"], await crypto.subtle.importKey("raw", new Uint8Array([1, 2, 3]), hmac, true, ["sign"]));
  await kv.set(["exception"], new DOMException("message", "AbortError"));
  await kv.enqueue({ blob: whole });
} else {
  const read = async (key: string) => (await kv.get<any>([key])).value;
  const { size, type } = await read("blob");
  console.log("blob", size, type, await (await read("blob")).text());
  const file = await read("file");
  console.log("file", file instanceof File, file.name, file.type, file.lastModified, await file.text());
  console.log("nested", await (await read("nested")).map.get("key")[0].text());
  console.log("key", new Uint8Array(await crypto.subtle.exportKey("raw", await read("key"))).join());
  console.log("exception", String(await read("exception")));
  console.log("message", await (await new Promise<any>((resolve) => kv.listenQueue(resolve))).blob.text());
}
kv.close();
