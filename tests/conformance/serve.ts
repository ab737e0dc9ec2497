// `Deno.serve`: start, requests, responses and shutdown of a server.

import { caCerts, cert, key } from "../certificate.ts";
import { equal, sleep, test, throws, throwsSync } from "./harness.ts";

const quiet = { hostname: "127.0.0.1", port: 0, onListen() {} };

/** Returns a URL of a server. */
function at(server: Deno.HttpServer<Deno.NetAddr>, path = "/"): string {
  return `http://127.0.0.1:${server.addr.port}${path}`;
}

/** Requests a text from a server. */
async function ask(server: Deno.HttpServer<Deno.NetAddr>, path?: string, init?: RequestInit): Promise<string> {
  return await (await fetch(at(server, path), init)).text();
}

/** Sends bytes to a server. Returns everything that it sends until it closes the connection. */
async function raw(server: Deno.HttpServer<Deno.NetAddr>, request: string): Promise<string> {
  const connection = await Deno.connect({ hostname: "127.0.0.1", port: server.addr.port });
  await connection.write(new TextEncoder().encode(request));
  return await new Response(connection.readable as ReadableStream<Uint8Array<ArrayBuffer>>).text();
}

/** Checks that a server no longer listens. */
async function refusesConnections(server: Deno.HttpServer<Deno.NetAddr>): Promise<void> {
  const connect = () => Deno.connect({ hostname: "127.0.0.1", port: server.addr.port });
  await throws(connect, "ConnectionRefused", "Connection refused (os error 111)");
}

await test("options, a handler and a free port", async () => {
  await using server = Deno.serve(quiet, (request) => new Response(new URL(request.url).pathname));
  equal([server.addr.transport, server.addr.hostname, server.addr.port > 0], ["tcp", "127.0.0.1", true]);
  equal(await ask(server, "/a%20b?c"), "/a%20b");
});

await test("options with a handler", async () => {
  await using server = Deno.serve({ ...quiet, handler: () => new Response("one") });
  equal(await ask(server), "one");
});

await test("onListen is called with the address before serve returns", async () => {
  let address: Deno.NetAddr | undefined;
  const options = { ...quiet, onListen: (addr: Deno.NetAddr) => address = addr };
  await using server = Deno.serve(options, () => new Response());
  equal({ ...address }, { ...server.addr });
});

await test("a server without a handler or a key is an error", () => {
  const serve = Deno.serve as (...args: unknown[]) => unknown;
  throwsSync(
    () => serve(quiet),
    "TypeError",
    "Cannot serve HTTP requests: handler must be a function, received undefined",
  );
  throwsSync(
    () => serve({ ...quiet, cert }, () => {}),
    "TypeError",
    "Both 'cert' and 'key' must be provided to enable HTTPS",
  );
});

await test("a port in use is an error", async () => {
  await using server = Deno.serve(quiet, () => new Response());
  const options = { ...quiet, port: server.addr.port };
  throwsSync(() => Deno.serve(options, () => new Response()), "AddrInUse", "Address already in use (os error 98)");
});

await test("a handler receives the request", async () => {
  await using server = Deno.serve(quiet, async (request, info) => {
    const { method, headers } = request;
    return Response.json({
      method,
      accept: headers.get("Accept"),
      twice: headers.get("x-twice"),
      text: await request.text(),
      transport: info.remoteAddr.transport,
      hostname: info.remoteAddr.hostname,
    });
  });
  const headers: [string, string][] = [["accept", "text/plain"], ["X-Twice", "a"], ["x-twice", "b"]];
  equal(JSON.parse(await ask(server, "/", { method: "PUT", headers, body: "grün" })), {
    method: "PUT",
    accept: "text/plain",
    twice: "a, b",
    text: "grün",
    transport: "tcp",
    hostname: "127.0.0.1",
  });
});

await test("a response has its status and headers, and a body only where allowed", async () => {
  await using server = Deno.serve(quiet, (request) => {
    const headers: [string, string][] = [["set-cookie", "a=1"], ["set-cookie", "b=2"], ["x-who", "openkv"]];
    if (request.method === "HEAD") return new Response("unseen", { headers });
    return new Response(null, { status: 204, statusText: "No Content", headers });
  });
  const response = await fetch(at(server), { method: "POST", body: "x" });
  equal([response.status, response.ok, await response.text()], [204, true, ""]);
  equal([response.headers.getSetCookie(), response.headers.get("x-who")], [["a=1", "b=2"], "openkv"]);
  const head = await fetch(at(server), { method: "HEAD" });
  equal([head.status, head.headers.get("content-length"), await head.text()], [200, "6", ""]);
});

await test("responses have a default length, type and date", async () => {
  await using server = Deno.serve(quiet, () => new Response("text"));
  const { headers, body } = await fetch(at(server));
  await body!.cancel();
  equal([headers.get("content-length"), headers.get("content-type")], ["4", "text/plain;charset=UTF-8"]);
  equal([headers.get("vary"), new Date(headers.get("date")!).getTime() > 0], [null, true]);
});

await test("kinds of bodies", async () => {
  const bodies: Record<string, () => BodyInit> = {
    "/text": () => "text",
    "/bytes": () => new TextEncoder().encode("bytes"),
    "/blob": () => new Blob(["blob"], { type: "a/b" }),
    "/stream": () => ReadableStream.from(["str", "eam"]).pipeThrough(new TextEncoderStream()),
    "/form": () => new URLSearchParams({ a: "b c" }),
  };
  await using server = Deno.serve(quiet, ({ url }) => new Response(bodies[new URL(url).pathname]()));
  const texts = await Promise.all(Object.keys(bodies).map((path) => ask(server, path)));
  equal(texts, ["text", "bytes", "blob", "stream", "a=b+c"]);
});

await test("large bodies are sent in both directions", async () => {
  await using server = Deno.serve(quiet, (request) => new Response(request.body));
  const bytes = new Uint8Array(5_000_000).map((_, i) => i % 251);
  const response = await fetch(at(server), { method: "POST", body: bytes });
  const echo = new Uint8Array(await response.arrayBuffer());
  equal([echo.length, echo.every((byte, i) => byte === i % 251)], [bytes.length, true]);
});

await test("a body is sent as it is produced", async () => {
  let proceed = () => {};
  await using server = Deno.serve(quiet, () => {
    const body = new ReadableStream<string>({
      start(controller) {
        controller.enqueue("first");
        proceed = () => {
          controller.enqueue("second");
          controller.close();
        };
      },
    });
    return new Response(body.pipeThrough(new TextEncoderStream()));
  });
  const reader = (await fetch(at(server))).body!.pipeThrough(new TextDecoderStream()).getReader();
  equal(await reader.read(), { value: "first", done: false });
  proceed();
  equal(await reader.read(), { value: "second", done: false });
  equal(await reader.read(), { value: undefined, done: true });
});

await test("a body that fails closes the connection", async () => {
  await using server = Deno.serve(quiet, () => {
    const body = new ReadableStream({
      pull(controller) {
        controller.error(new Error("thrown by a handler's body"));
      },
    });
    return new Response(body, { headers: { "content-length": "10" } });
  });
  await throws(() => ask(server), "TypeError", "error reading a body from connection");
});

await test("a body is cancelled when the client stops reading", async () => {
  const { promise: cancelled, resolve } = Promise.withResolvers<unknown>();
  await using server = Deno.serve(quiet, () =>
    new Response(
      new ReadableStream({
        async pull(controller) {
          await sleep(1);
          controller.enqueue(new Uint8Array(1000));
        },
        cancel: resolve,
      }),
    ));
  const response = await fetch(at(server));
  await response.body!.cancel();
  await cancelled;
});

await test("requests are served concurrently", async () => {
  let inside = 0;
  let proceed = () => {};
  const together = new Promise<void>((resolve) => proceed = resolve);
  await using server = Deno.serve(quiet, async () => {
    if (++inside === 20) proceed();
    await together;
    return new Response("x");
  });
  const texts = await Promise.all(Array.from({ length: 20 }, () => ask(server)));
  equal(texts.join(""), "x".repeat(20));
});

await test("a handler that throws responds with 500, and is logged to stderr", async () => {
  await using server = Deno.serve(quiet, () => {
    throw new Error("thrown by a handler");
  });
  const response = await fetch(at(server));
  equal([response.status, await response.text()], [500, "Internal Server Error"]);
});

await test("onError responds for a handler that throws, rejects or returns nothing", async () => {
  const onError = (error: unknown) => new Response((error as Error).message, { status: 418 });
  const handler = (request: Request) => {
    if (request.url.endsWith("/throw")) throw new Error("thrown");
    if (request.url.endsWith("/reject")) return Promise.reject(new Error("rejected"));
    return undefined as unknown as Response;
  };
  await using server = Deno.serve({ ...quiet, onError }, handler);
  equal([await ask(server, "/throw"), await ask(server, "/reject")], ["thrown", "rejected"]);
  const nothing = "Return value from serve handler must be a response or a promise resolving to a response";
  equal(await ask(server, "/nothing"), nothing);
});

await test("a response can be used once", async () => {
  const response = new Response("once");
  await using server = Deno.serve(
    { ...quiet, onError: (error) => new Response((error as Error).message) },
    () => response,
  );
  equal(await ask(server), "once");
  equal(await ask(server), "The body of the Response returned from the serve handler has already been consumed");
});

await test("shutdown completes running requests, and accepts no more", async () => {
  const { promise: entered, resolve: enter } = Promise.withResolvers<void>();
  const { promise: proceeding, resolve: proceed } = Promise.withResolvers<void>();
  const order: string[] = [];
  const server = Deno.serve(quiet, async () => {
    enter();
    await proceeding;
    order.push("responded");
    return new Response("x");
  });
  const response = ask(server);
  await entered;
  const shutdown = server.shutdown().then(() => order.push("shut down"));
  // A shutdown that did not wait would be done by then.
  await sleep(20);
  proceed();
  await Promise.all([shutdown, server.finished]);
  equal(await response, "x");
  equal(order, ["responded", "shut down"]);
  await refusesConnections(server);
});

await test("a signal stops a server", async () => {
  const controller = new AbortController();
  const server = Deno.serve({ ...quiet, signal: controller.signal }, () => new Response("x"));
  equal(await ask(server), "x");
  controller.abort();
  await server.finished;
  await refusesConnections(server);
});

await test("a server can be disposed", async () => {
  const server = Deno.serve(quiet, () => new Response());
  equal([typeof server[Symbol.asyncDispose], server.finished instanceof Promise], ["function", true]);
  await server[Symbol.asyncDispose]();
  await server.finished;
  await server.shutdown();
});

await test("a server can be unreferenced", async () => {
  const server = Deno.serve(quiet, () => new Response("x"));
  server.unref();
  server.ref();
  equal(await ask(server), "x");
  await server.shutdown();
});

await test("the signal of a request is aborted when its client disconnects", async () => {
  const { promise: aborted, resolve } = Promise.withResolvers<string>();
  const { promise: entered, resolve: enter } = Promise.withResolvers<void>();
  const stop = new AbortController();
  const server = Deno.serve({ ...quiet, signal: stop.signal }, async (request) => {
    request.signal.addEventListener("abort", () => resolve(request.signal.reason.name));
    enter();
    return await new Promise(() => {});
  });
  const controller = new AbortController();
  const asking = ask(server, "/", { signal: controller.signal }).catch((error) => error.name);
  await entered;
  controller.abort();
  equal([await asking, await aborted], ["AbortError", "AbortError"]);
  stop.abort();
  await server.finished;
});

await test("info.completed resolves after the response", async () => {
  const completed: Promise<void>[] = [];
  await using server = Deno.serve(quiet, (_, info) => {
    completed.push(info.completed);
    return new Response("x");
  });
  await ask(server);
  equal(await Promise.all(completed), [undefined]);
});

await test("connections are kept alive, or closed if requested, in HTTP/1.1 and HTTP/1.0", async () => {
  await using server = Deno.serve(quiet, (request) => new Response(new URL(request.url).pathname));
  const two = await raw(
    server,
    "GET /a HTTP/1.1\r\nhost: a\r\n\r\nGET /b HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n",
  );
  equal(two.match(/HTTP\/1.1 200 OK\r\n/g)?.length, 2);
  equal([two.indexOf("\r\n\r\n/a") < two.indexOf("\r\n\r\n/b"), two.endsWith("\r\n\r\n/b")], [true, true]);
  const old = await raw(server, "GET /c HTTP/1.0\r\n\r\n");
  equal([old.startsWith("HTTP/1.0 200 OK\r\n"), old.endsWith("\r\n\r\n/c")], [true, true]);
});

await test("the response to an invalid request is 400", async () => {
  await using server = Deno.serve(quiet, () => new Response());
  equal((await raw(server, "nonsense\r\n\r\n")).split("\r\n")[0], "HTTP/1.1 400 Bad Request");
});

await test("a body is compressed for clients that accept it, if enabled", async () => {
  const text = "compressible ".repeat(1000);
  await using server = Deno.serve({ ...quiet, automaticCompression: true }, () => new Response(text));
  const plain = await raw(server, "GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
  const packed = await raw(server, "GET / HTTP/1.1\r\nhost: a\r\naccept-encoding: gzip\r\nconnection: close\r\n\r\n");
  equal([plain.includes("content-encoding"), packed.includes("content-encoding: gzip\r\n")], [false, true]);
  equal([plain.length > text.length, packed.length < 1000, await ask(server) === text], [true, true, true]);
});

await test("HTTP/2 over TLS, and without it", async () => {
  const seen = new Set<string>();
  const handler = (request: Request) => {
    seen.add(new URL(request.url).protocol);
    return new Response(request.body ?? "h2");
  };
  await using secure = Deno.serve({ ...quiet, cert, key }, handler);
  await using plain = Deno.serve(quiet, handler);
  for (const http2 of [true, false]) {
    using client = Deno.createHttpClient({ caCerts, http1: !http2, http2 });
    const url = `https://localhost:${secure.addr.port}/`;
    const texts = Array.from({ length: 5 }, async (_, i) => {
      return await (await fetch(url, { client, method: "POST", body: `${i}` })).text();
    });
    equal(await Promise.all(texts), ["0", "1", "2", "3", "4"]);
  }
  using client = Deno.createHttpClient({ http1: false, http2: true });
  equal(await (await fetch(at(plain), { client })).text(), "h2");
  equal([...seen], ["https:", "http:"]);
});

await test("a server on a Unix socket", async () => {
  const path = `${Deno.makeTempDirSync({ prefix: "openkv_" })}/socket`;
  const server = Deno.serve({ path, onListen() {} }, (_, info) => new Response(info.remoteAddr.transport));
  equal(server.addr, { transport: "unix", path });
  using client = Deno.createHttpClient({ proxy: { transport: "unix", path } });
  equal(await (await fetch("http://localhost/", { client })).text(), "unix");
  await server.shutdown();
  Deno.removeSync(path.replace("/socket", ""), { recursive: true });
});

await test("Deno.serveHttp serves a connection request by request", async () => {
  // deno-lint-ignore no-explicit-any
  const { serveHttp } = Deno as any;
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const serving = (async () => {
    for await (const { request, respondWith } of serveHttp(await listener.accept())) {
      await respondWith(new Response(`${request.method} ${await request.text()}`, { status: 201 }));
    }
  })();
  const url = `http://127.0.0.1:${(listener.addr as Deno.NetAddr).port}/`;
  const client = Deno.createHttpClient({ poolMaxIdlePerHost: 0 });
  const response = await fetch(url, { method: "POST", body: "body", client });
  equal([response.status, await response.text()], [201, "POST body"]);
  client.close();
  await serving;
  listener.close();
});
