// `fetch`: requests, responses and errors.

import { caCerts, cert, key } from "../certificate.ts";
import { equal, test, throws } from "./harness.ts";

const directory = Deno.makeTempDirSync({ prefix: "openkv_" });
const quiet = { hostname: "127.0.0.1", port: 0, onListen() {} };

const routes: Record<string, (request: Request) => Response | Promise<Response>> = {
  "/text": () => new Response("text"),
  "/json": () => Response.json({ a: [1, null] }),
  "/echo": (request) => new Response(request.body, { headers: request.headers }),
  "/headers": (request) => Response.json([...request.headers]),
  "/method": (request) => new Response(request.method),
  "/missing": () => new Response("none", { status: 404, statusText: "Not here" }),
  "/redirect": () => new Response(null, { status: 302, headers: { location: "/method" } }),
  "/redirect/same": () => new Response(null, { status: 307, headers: { location: "/echo" } }),
  "/redirect/ever": () => new Response(null, { status: 301, headers: { location: "/redirect/ever" } }),
  "/form": async (request) => Response.json([...await request.formData()].map(([name, value]) => [name, describe(value)])),
  "/gzip": () => {
    const body = new Blob(["packed ".repeat(100)]).stream().pipeThrough(new CompressionStream("gzip"));
    return new Response(body, { headers: { "content-encoding": "gzip" } });
  },
  "/never": () => new Promise(() => {}),
  "/endless": () => new Response(new ReadableStream({ pull: (controller) => controller.enqueue(new Uint8Array(100)) })),
  "/events": () => {
    const body = "retry: 10\n\ndata: one\n\nevent: named\nid: 7\ndata: two\ndata: lines\n\n";
    return new Response(body, { headers: { "content-type": "text/event-stream" } });
  },
};

const stop = new AbortController();
const server = Deno.serve({ ...quiet, signal: stop.signal }, (request) => {
  return routes[new URL(request.url).pathname](request);
});
const base = `http://127.0.0.1:${server.addr.port}`;

/** Describes a part of a form. */
function describe(value: FormDataEntryValue): string {
  return typeof value === "string" ? value : `${value.name} ${value.type} ${value.size}`;
}

await test("a response has a status, a URL and a body", async () => {
  const response = await fetch(`${base}/text`);
  equal([response.status, response.statusText, response.ok], [200, "OK", true]);
  equal([response.url, response.type, response.redirected, response.bodyUsed], [`${base}/text`, "basic", false, false]);
  equal([await response.text(), response.bodyUsed], ["text", true]);
  await throws(() => response.text(), "TypeError", "Body already consumed");
});

await test("a body is read in different formats", async () => {
  equal(await (await fetch(`${base}/json`)).json(), { a: [1, null] });
  equal(await (await fetch(`${base}/text`)).bytes(), new TextEncoder().encode("text"));
  equal((await (await fetch(`${base}/text`)).arrayBuffer()).byteLength, 4);
  const blob = await (await fetch(`${base}/text`)).blob();
  equal([blob.type, await blob.text()], ["text/plain;charset=utf-8", "text"]);
  const response = await fetch(`${base}/text`);
  const clone = response.clone();
  equal([await response.text(), await clone.text()], ["text", "text"]);
  const message = "Unexpected token 'e', \"text\" is not valid JSON";
  await throws(async () => (await fetch(`${base}/text`)).json(), "SyntaxError", message);
});

await test("an error status does not reject", async () => {
  const { status, statusText, ok, body } = await fetch(`${base}/missing`);
  await body!.cancel();
  equal([status, statusText, ok], [404, "Not Found", false]);
});

await test("every request has default headers", async () => {
  const headers = Object.fromEntries(await (await fetch(`${base}/headers`)).json());
  equal(headers, {
    "accept": "*/*",
    "accept-encoding": "gzip,br",
    "accept-language": "*",
    "host": `127.0.0.1:${server.addr.port}`,
    "user-agent": navigator.userAgent,
  });
});

await test("methods, headers and bodies are sent", async () => {
  equal(await (await fetch(`${base}/method`, { method: "patch" })).text(), "patch");
  equal(await (await fetch(`${base}/method`, { method: "delete" })).text(), "DELETE");
  const request = new Request(`${base}/echo`, { method: "POST", body: "grün", headers: { "X-Mine": "a" } });
  const response = await fetch(request);
  equal([await response.text(), response.headers.get("x-mine")], ["grün", "a"]);
  equal(response.headers.get("content-type"), "text/plain;charset=UTF-8");
  const form = await fetch(`${base}/echo`, { method: "POST", body: new URLSearchParams({ a: "1 2" }) });
  equal(form.headers.get("content-type"), "application/x-www-form-urlencoded;charset=UTF-8");
  equal([...await form.formData()], [["a", "1 2"]]);
});

await test("a form with a file is sent and received", async () => {
  const form = new FormData();
  form.append("name", "grün\r\n");
  form.append("file", new File(["12345"], "file.txt", { type: "text/csv" }));
  form.append("blob", new Blob(["123"]));
  const response = await fetch(`${base}/form`, { method: "POST", body: form });
  equal(await response.json(), [
    ["name", "grün\r\n"],
    ["file", "file.txt text/csv 5"],
    ["blob", "blob application/octet-stream 3"],
  ]);
});

await test("a stream is sent", async () => {
  const body = ReadableStream.from(["a", "b", "c"]).pipeThrough(new TextEncoderStream());
  equal(await (await fetch(`${base}/echo`, { method: "POST", body })).text(), "abc");
  const failing = new ReadableStream({ pull: (controller) => controller.error(new RangeError("mine")) });
  const error = await fetch(`${base}/echo`, { method: "POST", body: failing }).catch((error) => error);
  equal([error.message, error.cause.message], ["fetch failed", "mine"]);
});

await test("a stream is received", async () => {
  let received = 0;
  for await (const piece of (await fetch(`${base}/endless`)).body!) {
    received += piece.length;
    if (received > 100_000) break;
  }
  equal(received > 100_000, true);
});

await test("redirects are followed, returned or rejected", async () => {
  const followed = await fetch(`${base}/redirect`, { method: "POST", body: "x" });
  equal([await followed.text(), followed.url, followed.redirected], ["GET", `${base}/method`, true]);
  equal(await (await fetch(`${base}/redirect/same`, { method: "POST", body: "x" })).text(), "x");
  const manual = await fetch(`${base}/redirect`, { redirect: "manual" });
  equal([manual.status, manual.headers.get("location"), manual.redirected], [302, "/method", false]);
  await manual.body?.cancel();
  const refused = "Fetch failed: Encountered redirect while redirect mode is set to 'error'";
  await throws(() => fetch(`${base}/redirect`, { redirect: "error" }), "TypeError", refused);
  await throws(
    () => fetch(`${base}/redirect/ever`),
    "TypeError",
    "Fetch failed: Maximum number of redirects (20) reached",
  );
});

await test("a compressed response is decompressed", async () => {
  const response = await fetch(`${base}/gzip`);
  equal(await response.text(), "packed ".repeat(100));
  equal([response.headers.get("content-encoding"), response.headers.get("content-length")], ["gzip", null]);
});

await test("a fetch is aborted before the request, before the response and during the body", async () => {
  const aborted = "The signal has been aborted";
  await throws(() => fetch(`${base}/text`, { signal: AbortSignal.abort() }), "DOMException", aborted);
  const controller = new AbortController();
  const waiting = fetch(`${base}/never`, { signal: controller.signal });
  controller.abort(new RangeError("mine"));
  await throws(() => waiting, "RangeError", "mine");
  const reading = new AbortController();
  const response = await fetch(`${base}/endless`, { signal: reading.signal });
  reading.abort();
  await throws(() => response.text(), "DOMException", aborted);
  await throws(
    () => fetch(`${base}/never`, { signal: AbortSignal.timeout(10) }),
    "DOMException",
    "The operation was aborted due to timeout",
  );
});

await test("a refused connection rejects with its cause", async () => {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = listener.addr;
  listener.close();
  const error = await fetch(`http://127.0.0.1:${port}/`).catch((error) => error);
  equal([error instanceof TypeError, error.message], [true, "fetch failed"]);
  const cause = "client error (Connect): tcp connect error: Connection refused (os error 111)";
  equal(error.cause.message, `error sending request for url (http://127.0.0.1:${port}/): ${cause}`);
});

await test("an invalid URL or method rejects", async () => {
  await throws(() => fetch("nonsense"), "TypeError", "Invalid URL: 'nonsense'");
  await throws(() => fetch("ftp://127.0.0.1/"), "TypeError", "Url scheme 'ftp' not supported");
  await throws(() => fetch("http://127.0.0.1:1/"), "TypeError", "Fetch failed: Requests to port 1 are blocked");
  const body = "Request with GET/HEAD method cannot have body";
  await throws(() => fetch(base, { body: "x" }), "TypeError", body);
});

await test("data: URLs", async () => {
  const response = await fetch("data:text/plain;charset=utf-8,a%20b");
  equal([response.status, response.headers.get("content-type")], [200, "text/plain;charset=utf-8"]);
  equal(await response.text(), "a b");
  equal(await (await fetch("data:;base64,AQI=")).bytes(), new Uint8Array([1, 2]));
});

await test("blob: URLs", async () => {
  const url = URL.createObjectURL(new Blob(["blob"], { type: "a/b" }));
  const response = await fetch(url);
  equal([await response.text(), response.headers.get("content-type")], ["blob", "a/b"]);
  equal(response.headers.get("content-length"), "4");
  URL.revokeObjectURL(url);
  await throws(() => fetch(url), "TypeError", "Blob for the given URL not found.");
});

await test("file: URLs", async () => {
  Deno.writeTextFileSync(`${directory}/file.txt`, "from a file");
  const response = await fetch(`file://${directory}/file.txt`);
  equal([response.status, await response.text()], [200, "from a file"]);
  const missing = `Error fetching file 'file://${directory}/absent': No such file or directory (os error 2)`;
  await throws(() => fetch(`file://${directory}/absent`), "TypeError", missing);
  const only = "Fetching files only supports the GET method: received POST";
  await throws(() => fetch(`file://${directory}/file.txt`, { method: "POST" }), "TypeError", only);
});

await test("a client trusts its certificates", async () => {
  const secure = Deno.serve({ ...quiet, cert, key }, (request) => new Response(new URL(request.url).protocol));
  const url = `https://localhost:${secure.addr.port}/`;
  const error = await fetch(url).catch((error) => error);
  equal([error.message, error.cause.message.endsWith("invalid peer certificate: UnknownIssuer")], [
    "fetch failed",
    true,
  ]);
  const client = Deno.createHttpClient({ caCerts });
  equal(await (await fetch(url, { client })).text(), "https:");
  client.close();
  await throws(() => fetch(url, { client }), "BadResource", "Bad resource ID");
  await secure.shutdown();
});

await test("a client uses a proxy", async () => {
  const options = { basicAuth: { username: "me", password: "secret" }, url: base };
  using client = Deno.createHttpClient({ proxy: options, allowHost: true });
  const response = await fetch("http://a.example/headers", { client, headers: { host: "b.example" } });
  const headers = Object.fromEntries(await response.json());
  equal([headers["proxy-authorization"], headers.host], [`Basic ${btoa("me:secret")}`, "b.example"]);
});

await test("responses, requests and headers are constructed", async () => {
  const response = new Response("x", { status: 201, headers: [["a", "1"], ["A", "2"]] });
  equal([response.status, response.headers.get("a"), response.type], [201, "1, 2", "default"]);
  equal([Response.error().type, Response.redirect("http://a.example/b").headers.get("location")], [
    "error",
    "http://a.example/b",
  ]);
  const request = new Request("http://a.example/?q#f", { method: "post", body: "x", headers: { a: "b" } });
  equal([request.url, request.method, request.headers.get("A")], ["http://a.example/?q#f", "POST", "b"]);
  equal([await new Request(request).text(), request.bodyUsed], ["x", true]);
  const headers = new Headers({ b: " 2 ", A: "1" });
  headers.append("a", "3");
  headers.delete("B");
  equal([[...headers], headers.has("b")], [[["a", "1, 3"]], false]);
  await throws(() => new Headers({ "a b": "" }), "TypeError", 'Invalid header name: "a b"');
  await throws(
    () => new Response("x", { status: 204 }),
    "TypeError",
    "Response with null body status cannot have body",
  );
  const status = "The status provided (99) is not equal to 101 and outside the range [200, 599]";
  await throws(() => new Response(null, { status: 99 }), "RangeError", status);
});

await test("an event source receives events, and reconnects after the last one", async () => {
  const source = new EventSource(`${base}/events`);
  const received: unknown[] = [];
  const { promise, resolve } = Promise.withResolvers<void>();
  source.onmessage = ({ data, lastEventId }) => received.push([data, lastEventId]);
  source.addEventListener("named", ({ data, lastEventId }) => {
    received.push([data, lastEventId]);
    if (received.length === 4) resolve();
  });
  await promise;
  source.close();
  equal(received, [["one", ""], ["two\nlines", "7"], ["one", "7"], ["two\nlines", "7"]]);
  equal([source.readyState, source.url], [EventSource.CLOSED, `${base}/events`]);
});

stop.abort();
await server.finished;
Deno.removeSync(directory, { recursive: true });

await test("a client of its own is an HttpClient", () => {
  using client = Deno.createHttpClient({});
  equal(client instanceof Deno.HttpClient, true);
});
