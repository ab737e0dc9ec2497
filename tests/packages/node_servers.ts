// Servers of Node.js that count in KV, and clients of theirs: express, koa with @koa/router, pino, axios and ws.

import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { Writable } from "node:stream";
import Router from "@koa/router";
import axios from "axios";
import express from "express";
import Koa from "koa";
import { pino } from "pino";
import WebSocket, { WebSocketServer } from "ws";

const kv = await Deno.openKv(":memory:");
const increment = (name: string) => kv.atomic().sum(["count", name], 1n).commit();
const count = async (name: string) => Number((await kv.get<Deno.KvU64>(["count", name])).value!.value);

async function serving(server: Server, use: (url: string) => Promise<void>) {
  await once(server.listen(0, "127.0.0.1"), "listening");
  await use(`127.0.0.1:${(server.address() as AddressInfo).port}`);
  server.close();
  await once(server, "close");
}

const lines: string[] = [];
const log = pino(
  { base: null, timestamp: false },
  new Writable({
    write(chunk, _encoding, done) {
      lines.push(String(chunk).trim());
      done();
    },
  }),
);

const app = express();
app.use(express.json());
app.post("/visits/:name", async (request, response) => {
  log.info({ name: request.params.name }, "visit");
  await increment(request.params.name);
  response.status(201).json({ name: request.params.name, sent: request.body });
});
app.get("/fails", () => {
  throw Object.assign(new Error("teapot"), { status: 418, expose: true });
});
app.use((error: { status: number; message: string }, _: unknown, response: express.Response, _next: unknown) => {
  response.status(error.status).send(error.message);
});
await serving(createServer(app), async (host) => {
  const client = axios.create({ baseURL: `http://${host}`, validateStatus: () => true });
  const posts = Array.from({ length: 40 }, (_, i) => client.post(`/visits/${i % 2 ? "odd" : "even"}`, { i }));
  for (const [i, { status, data }] of (await Promise.all(posts)).entries()) {
    assert.deepEqual([status, data.sent], [201, { i }]);
  }
  const { status, data } = await client.get("/fails");
  assert.deepEqual([status, data], [418, "teapot"]);
  assert.equal((await client.get("/none")).status, 404);
});
assert.deepEqual([await count("odd"), await count("even")], [20, 20]);
assert.equal(lines.length, 40);
assert.match(lines[0], /^\{"level":30,"name":"(odd|even)","msg":"visit"\}$/);

const koa = new Koa();
const router = new Router();
router.get("/hello/:name", async (context) => {
  await increment("koa");
  context.set("x-count", String(await count("koa")));
  context.body = { hello: context.params.name };
});
koa.use(router.routes()).use(router.allowedMethods());
await serving(createServer(koa.callback()), async (host) => {
  const response = await fetch(`http://${host}/hello/ada`);
  assert.deepEqual([response.headers.get("x-count"), await response.json()], ["1", { hello: "ada" }]);
  const refused = await fetch(`http://${host}/hello/ada`, { method: "DELETE" });
  await refused.body?.cancel();
  assert.deepEqual([refused.status, refused.headers.get("allow")], [405, "HEAD, GET"]);
});

const plain = createServer();
const sockets = new WebSocketServer({ server: plain });
sockets.on("connection", (socket) => {
  socket.on("message", async (data) => {
    await increment("ws");
    socket.send(`${data} ${await count("ws")}`);
  });
});
await serving(plain, async (host) => {
  const socket = new WebSocket(`ws://${host}`);
  await once(socket, "open");
  for (const [i, text] of ["a", "b"].entries()) {
    socket.send(text);
    const [data] = await once(socket, "message");
    assert.equal(String(data), `${text} ${i + 1}`);
  }
  socket.close();
  await once(socket, "close");
});

kv.close();
console.log("requests:", lines.length);
