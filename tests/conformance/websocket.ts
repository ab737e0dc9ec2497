// WebSockets, and their upgrade in `Deno.serve`.

import { equal, test, throws, throwsSync } from "./harness.ts";

/** Starts a server that passes accepted sockets to a function. */
function serve(accept: (socket: WebSocket) => void, options?: Deno.UpgradeWebSocketOptions) {
  return Deno.serve({ hostname: "127.0.0.1", port: 0, onListen() {} }, (request) => {
    const { socket, response } = Deno.upgradeWebSocket(request, options);
    accept(socket);
    return response;
  });
}

/** Waits for an event of a socket. */
function once<Name extends keyof WebSocketEventMap>(socket: WebSocket, name: Name): Promise<WebSocketEventMap[Name]> {
  return new Promise((resolve) => socket.addEventListener(name, resolve, { once: true }));
}

/** Echoes messages. */
function echo(socket: WebSocket): void {
  socket.onmessage = ({ data }) => socket.send(data);
}

await test("text and bytes are sent in both directions", async () => {
  await using server = serve(echo);
  const socket = new WebSocket(`ws://127.0.0.1:${server.addr.port}/`);
  equal([socket.readyState, socket.binaryType], [WebSocket.CONNECTING, "blob"]);
  await once(socket, "open");
  equal([socket.readyState, socket.url], [WebSocket.OPEN, `ws://127.0.0.1:${server.addr.port}/`]);
  socket.send("grün");
  equal((await once(socket, "message")).data, "grün");
  socket.send(new Blob([new Uint8Array([1, 2])]));
  const { data } = await once(socket, "message");
  equal([data instanceof Blob, new Uint8Array(await data.arrayBuffer())], [true, new Uint8Array([1, 2])]);
  socket.binaryType = "arraybuffer";
  socket.send(new Uint8Array([3, 4]));
  equal(new Uint8Array((await once(socket, "message")).data), new Uint8Array([3, 4]));
  socket.close();
  await once(socket, "close");
});

await test("many messages and a large one keep their order", async () => {
  await using server = serve(echo);
  const socket = new WebSocket(`ws://127.0.0.1:${server.addr.port}/`);
  await once(socket, "open");
  const received: number[] = [];
  const { promise, resolve } = Promise.withResolvers<void>();
  socket.onmessage = ({ data }) => {
    received.push(data.length);
    if (received.length === 200) resolve();
  };
  const sent = Array.from({ length: 200 }, (_, i) => i === 100 ? 1_000_000 : i);
  for (const length of sent) socket.send("x".repeat(length));
  await promise;
  equal(received, sent);
  socket.close();
  await once(socket, "close");
});

await test("closing has a code and a reason, from either side", async () => {
  const { promise: received, resolve } = Promise.withResolvers<CloseEvent>();
  await using server = serve((socket) => {
    socket.onclose = resolve;
    socket.onmessage = () => socket.close(3001, "enough");
  });
  const one = new WebSocket(`ws://127.0.0.1:${server.addr.port}/`);
  await once(one, "open");
  const ended = once(one, "close");
  one.close(4000, "mine");
  const [{ code, reason, wasClean }, closed] = await Promise.all([received, ended]);
  equal([code, reason, wasClean, closed.code, closed.wasClean], [4000, "mine", true, 4000, true]);
  equal(one.readyState, WebSocket.CLOSED);
  const other = new WebSocket(`ws://127.0.0.1:${server.addr.port}/`);
  await once(other, "open");
  other.send("x");
  const event = await once(other, "close");
  equal([event.code, event.reason, event.wasClean], [3001, "enough", true]);
});

await test("a protocol is negotiated", async () => {
  await using server = serve(echo, { protocol: "b" });
  const socket = new WebSocket(`ws://127.0.0.1:${server.addr.port}/`, ["a", "b"]);
  await once(socket, "open");
  equal(socket.protocol, "b");
  socket.close();
  await once(socket, "close");
});

await test("a server without WebSockets is an error", async () => {
  await using server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen() {} }, () => new Response("no"));
  const socket = new WebSocket(`ws://127.0.0.1:${server.addr.port}/`);
  const [error] = await Promise.all([once(socket, "error"), once(socket, "close")]);
  equal([error instanceof ErrorEvent, socket.readyState], [true, WebSocket.CLOSED]);
});

await test("a request without an upgrade header is rejected", async () => {
  const options = {
    hostname: "127.0.0.1",
    port: 0,
    onListen() {},
    onError: (error: unknown) => new Response(`${error}`),
  };
  await using server = Deno.serve(options, (request) => Deno.upgradeWebSocket(request).response);
  const text = await (await fetch(`http://127.0.0.1:${server.addr.port}/`)).text();
  equal(text, "TypeError: Invalid Header: 'upgrade' header must contain 'websocket'");
});

await test("invalid use throws", async () => {
  throwsSync(() => new WebSocket("nonsense"), "DOMException", "Invalid URL: 'nonsense'");
  await using server = serve(echo);
  const url = `http://127.0.0.1:${server.addr.port}/`;
  const socket = new WebSocket(url);
  equal(socket.url, url.replace("http", "ws"));
  throwsSync(() => socket.send("early"), "DOMException", "'readyState' not OPEN");
  await once(socket, "open");
  throwsSync(
    () => socket.close(1),
    "DOMException",
    "The close code must be either 1000 or in the range of 3000 to 4999: received 1",
  );
  socket.close();
  await once(socket, "close");
  socket.send("late");
  await throws(() => new WebSocket(`${url}#fragment`), "DOMException", "Fragments are not allowed in a WebSocket URL");
});
