// Tests of the Node.js built-in modules for network connections.

import "node:_tls_common";
import "node:_tls_wrap";
import dgram from "node:dgram";
import dns from "node:dns";
import dnsPromises from "node:dns/promises";
import { once } from "node:events";
import net, { type AddressInfo } from "node:net";
import { text } from "node:stream/consumers";
import tls from "node:tls";
import { caCerts, cert, key } from "../certificate.ts";
import { equal, test } from "../conformance/harness.ts";

await test("node:net listens and connects", async () => {
  const server = net.createServer((socket) => socket.pipe(socket)).listen(0, "127.0.0.1");
  await once(server, "listening");
  const socket = net.connect((server.address() as AddressInfo).port, "127.0.0.1");
  socket.end("echo");
  equal([await text(socket), net.isIP("::1"), net.isIPv4("::1")], ["echo", 6, false]);
  server.close();
  await once(server, "close");
});

await test("node:net reports why it cannot connect", async () => {
  const server = net.createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, "close");
  const [error] = await once(net.connect(port, "127.0.0.1").on("error", () => {}), "error");
  equal([error.code, error.syscall], ["ECONNREFUSED", "connect"]);
});

await test("node:tls, node:_tls_common and node:_tls_wrap encrypt connections", async () => {
  const server = tls.createServer({ key, cert }, (socket) => socket.pipe(socket)).listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const socket = tls.connect({ port, host: "127.0.0.1", servername: "localhost", ca: caCerts });
  await once(socket, "secureConnect");
  socket.end("echo");
  equal([await text(socket), socket.authorized], ["echo", true]);
  server.close();
  await once(server, "close");
});

await test("node:dgram sends and receives", async () => {
  const [one, two] = [dgram.createSocket("udp4"), dgram.createSocket("udp4")];
  one.bind(0, "127.0.0.1");
  await once(one, "listening");
  two.send("datagram", one.address().port, "127.0.0.1");
  const [message] = await once(one, "message");
  equal(message.toString(), "datagram");
  one.close();
  two.close();
});

await test("node:dns looks up addresses", async () => {
  const found = await new Promise((resolve) => dns.lookup("127.0.0.1", (_error, address) => resolve(address)));
  equal([found, dns.getServers().length >= 0], ["127.0.0.1", true]);
});

await test("node:dns/promises looks up addresses", async () => {
  equal(await dnsPromises.lookup("::1"), { address: "::1", family: 6 });
});
