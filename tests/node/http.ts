// Tests of the Node.js built-in modules for HTTP.

import agent from "node:_http_agent";
import common from "node:_http_common";
import outgoing from "node:_http_outgoing";
import { Server } from "node:_http_server";
import { once } from "node:events";
import http from "node:http";
import http2 from "node:http2";
import https from "node:https";
import type { AddressInfo, Server as NetServer } from "node:net";
import { text } from "node:stream/consumers";
import { caCerts, cert, key } from "../certificate.ts";
import { equal, test } from "../conformance/harness.ts";

async function port(server: NetServer): Promise<number> {
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return (server.address() as AddressInfo).port;
}

async function answer(request: http.IncomingMessage, response: http.ServerResponse): Promise<void> {
  const body = await text(request);
  response.writeHead(201, { "x-method": request.method }).end(`${request.url} ${body}`);
}

await test("node:http sends and serves requests", async () => {
  const server = http.createServer(answer);
  const at = await port(server);
  const response = await fetch(`http://127.0.0.1:${at}/a?b`, { method: "POST", body: "body" });
  equal([response.status, response.headers.get("x-method"), await response.text()], [201, "POST", "/a?b body"]);

  const request = http.request({ port: at, host: "127.0.0.1", path: "/c", method: "PUT" });
  request.end("sent");
  const [received] = await once(request, "response") as [http.IncomingMessage];
  equal([received.statusCode, received.headers["x-method"], await text(received)], [201, "PUT", "/c sent"]);
  equal([server instanceof Server, http.STATUS_CODES[404]], [true, "Not Found"]);
  server.closeAllConnections();
  server.close();
  await once(server, "close");
});

await test("node:http upgrades connections", async () => {
  const server = http.createServer().on("upgrade", (_request, socket) => {
    socket.end("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\nraw");
  });
  const request = http.request({
    port: await port(server),
    host: "127.0.0.1",
    headers: { connection: "Upgrade", upgrade: "echo" },
  });
  request.end();
  const [, socket, head] = await once(request, "upgrade");
  equal(head.toString() || (await once(socket, "data")).toString(), "raw");
  socket.destroy();
  server.close();
  await once(server, "close");
});

await test("node:_http_agent, node:_http_common, node:_http_outgoing and node:_http_server are the parts of node:http", () => {
  equal(
    [
      agent.Agent === http.Agent,
      typeof common.parsers,
      outgoing.OutgoingMessage === http.OutgoingMessage,
      Server === http.Server,
    ],
    [true, "object", true, true],
  );
});

await test("node:https sends and serves requests", async () => {
  const server = https.createServer({ key, cert }, answer);
  const request = https.request({
    port: await port(server),
    host: "127.0.0.1",
    servername: "localhost",
    ca: caCerts,
    agent: false,
  });
  request.end();
  const [received] = await once(request, "response") as [http.IncomingMessage];
  equal([received.statusCode, await text(received)], [201, "/ "]);
  server.closeAllConnections();
  server.close();
  await once(server, "close");
});

await test("node:http2 sends and serves requests", async () => {
  const server = http2.createServer();
  server.on("stream", (stream, headers) => {
    stream.respond({ ":status": 200 });
    stream.end(`${headers[":path"]}`);
  });
  const client = http2.connect(`http://127.0.0.1:${await port(server)}`);
  const stream = client.request({ ":path": "/a" });
  const [headers] = await once(stream, "response");
  equal([headers[":status"], await text(stream)], [200, "/a"]);
  client.close();
  server.close();
  await once(server, "close");
});
