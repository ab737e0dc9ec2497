// Sockets: TCP, TLS and Unix sockets.

import { caCerts, cert, key } from "../certificate.ts";
import { equal, test, throws, throwsSync } from "./harness.ts";

const directory = Deno.makeTempDirSync({ prefix: "openkv_" });
const hostname = "127.0.0.1";

const encode = (text: string) => new TextEncoder().encode(text);
const decode = (bytes: Uint8Array) => new TextDecoder().decode(bytes);

/** Reads until the other side closes its end. */
async function all(connection: { readable: ReadableStream<Uint8Array> }): Promise<string> {
  return await new Response(connection.readable as ReadableStream<Uint8Array<ArrayBuffer>>).text();
}

/** Returns the two ends of a connection. */
async function pair(): Promise<[Deno.TcpConn, Deno.TcpConn]> {
  using listener = Deno.listen({ hostname, port: 0 });
  return await Promise.all([Deno.connect({ hostname, port: listener.addr.port }), listener.accept()]);
}

await test("a listener has a port, and accepts connections", async () => {
  using listener = Deno.listen({ hostname, port: 0 });
  equal([listener.addr.transport, listener.addr.hostname, listener.addr.port > 0], ["tcp", hostname, true]);
  const [client, server] = await Promise.all([Deno.connect({ port: listener.addr.port }), listener.accept()]);
  equal([client.remoteAddr, server.localAddr], [listener.addr, listener.addr]);
  equal(server.remoteAddr, client.localAddr);
  client.close();
  server.close();
});

await test("bytes are written and read", async () => {
  const [client, server] = await pair();
  equal(await client.write(encode("ping")), 4);
  const piece = new Uint8Array(10);
  equal([await server.read(piece), decode(piece.subarray(0, 4))], [4, "ping"]);
  await server.write(encode("pong"));
  equal([await client.read(piece), decode(piece.subarray(0, 4))], [4, "pong"]);
  client.close();
  equal(await server.read(piece), null);
  server.close();
});

await test("a listener is an iterator of connections", async () => {
  const listener = Deno.listen({ hostname, port: 0 });
  const served = (async () => {
    let count = 0;
    for await (const connection of listener) {
      count++;
      await connection.readable.pipeTo(connection.writable);
    }
    return count;
  })();
  const echo = async (text: string) => {
    const connection = await Deno.connect({ hostname, port: listener.addr.port });
    await connection.write(encode(text));
    await connection.closeWrite();
    return await all(connection);
  };
  equal([await echo("a"), await echo("b"), await echo("c".repeat(100_000))], ["a", "b", "c".repeat(100_000)]);
  listener.close();
  equal(await served, 3);
});

await test("a side that has closed its writable end can still read", async () => {
  const [client, server] = await pair();
  await client.write(encode("question"));
  await client.closeWrite();
  const piece = new Uint8Array(10);
  equal([await server.read(piece), await server.read(piece)], [8, null]);
  await server.write(encode("answer"));
  equal([await client.read(piece), decode(piece.subarray(0, 6))], [6, "answer"]);
  await throws(() => client.write(piece), "BrokenPipe", "Broken pipe (os error 32)");
  client.close();
  server.close();
});

await test("streams of a connection transfer large data", async () => {
  const [client, server] = await pair();
  const bytes = new Uint8Array(2_000_000).fill(7);
  const sent = ReadableStream.from([bytes]).pipeTo(client.writable);
  let received = 0;
  for await (const piece of server.readable) received += piece.length;
  await sent;
  equal(received, bytes.length);
});

await test("a connection has settings", async () => {
  const [client, server] = await pair();
  client.setNoDelay(true);
  client.setNoDelay(false);
  server.setKeepAlive(true);
  client.unref();
  client.ref();
  client.close();
  server.close();
});

await test("a closed connection rejects", async () => {
  const [client, server] = await pair();
  const reading = client.read(new Uint8Array(1)).catch((error) => error);
  client.close();
  equal((await reading).name, "Interrupted");
  await throws(() => client.write(new Uint8Array(1)), "BadResource", "Bad resource ID");
  throwsSync(() => client.close(), "BadResource", "Bad resource ID");
  server[Symbol.dispose]();
  server[Symbol.dispose]();
});

await test("a closed listener rejects", async () => {
  const listener = Deno.listen({ hostname, port: 0 });
  const accepting = listener.accept().catch((error) => [error.name, error.message]);
  await throws(() => listener.accept(), "Busy", "Another accept task is ongoing");
  listener.close();
  equal(await accepting, ["BadResource", "Listener has been closed"]);
  await throws(() => listener.accept(), "BadResource", "Listener has been closed");
  equal(await listener[Symbol.asyncIterator]().next(), { value: undefined, done: true });
});

await test("a port that is in use, or without a listener, is an error", async () => {
  const listener = Deno.listen({ hostname, port: 0 });
  const { port } = listener.addr;
  throwsSync(() => Deno.listen({ hostname, port }), "AddrInUse", "Address already in use (os error 98)");
  listener.close();
  await throws(() => Deno.connect({ hostname, port }), "ConnectionRefused", "Connection refused (os error 111)");
});

await test("invalid ports are rejected", async () => {
  throwsSync(() => Deno.listen({ hostname, port: -1 }), "RangeError", "Invalid port (out of range): -1");
  await throws(() => Deno.connect({ hostname, port: 70000 }), "RangeError", "Invalid port (out of range): 70000");
  const port = "a" as unknown as number;
  await throws(() => Deno.connect({ hostname, port }), "TypeError", "Invalid port: 'a'");
});

await test("connecting is aborted by a signal", async () => {
  using listener = Deno.listen({ hostname, port: 0 });
  const options = { hostname, port: listener.addr.port, signal: AbortSignal.abort() } as Deno.ConnectOptions;
  await throws(() => Deno.connect(options), "DOMException", "The signal has been aborted");
});

await test("a Unix socket connects", async () => {
  const path = `${directory}/socket`;
  const listener = Deno.listen({ transport: "unix", path });
  equal([listener.addr, Deno.statSync(path).isSocket], [{ transport: "unix", path }, true]);
  const [client, server] = await Promise.all([Deno.connect({ transport: "unix", path }), listener.accept()]);
  equal([client.remoteAddr, server.localAddr], [{ transport: "unix", path }, { transport: "unix", path }]);
  await client.write(encode("hi"));
  await client.closeWrite();
  equal(await all(server), "hi");
  client.close();
  throwsSync(() => Deno.listen({ transport: "unix", path }), "AddrInUse", "Address already in use (os error 98)");
  listener.close();
  await throws(
    () => Deno.connect({ transport: "unix", path: `${directory}/no` }),
    "NotFound",
    "No such file or directory (os error 2)",
  );
});

await test("TLS connects to a server with a trusted certificate", async () => {
  using listener = Deno.listenTls({ hostname: "localhost", port: 0, cert, key });
  const { port } = listener.addr;
  const served = (async () => {
    for await (const connection of listener) {
      await connection.readable.pipeTo(connection.writable).catch(() => {});
      return;
    }
  })();
  const client = await Deno.connectTls({ hostname: "localhost", port, caCerts });
  equal((await client.handshake()).alpnProtocol, null);
  await client.write(encode("secret"));
  await client.closeWrite();
  equal(await all(client), "secret");
  await served;
});

await test("TLS negotiates a protocol", async () => {
  using listener = Deno.listenTls({ hostname, port: 0, cert, key, alpnProtocols: ["a", "b"] });
  const { port } = listener.addr;
  const accepted = listener.accept();
  const client = await Deno.connectTls({ hostname, port, caCerts, alpnProtocols: ["b"] });
  const server = await accepted;
  const handshakes = await Promise.all([client.handshake(), server.handshake()]);
  equal(handshakes.map((handshake) => handshake.alpnProtocol), ["b", "b"]);
  client.close();
  server.close();
});

await test("TLS rejects a server without a trusted certificate", async () => {
  using listener = Deno.listenTls({ hostname, port: 0, cert, key });
  const { port } = listener.addr;
  const accepted = listener.accept();
  const client = await Deno.connectTls({ hostname, port });
  const server = await accepted;
  const rejected = server.handshake().catch((error) => error.name);
  await throws(() => client.handshake(), "InvalidData", "invalid peer certificate: UnknownIssuer");
  equal(await rejected, "InvalidData");
  client.close();
  server.close();
});

await test("a connection is upgraded to TLS", async () => {
  using listener = Deno.listenTls({ hostname, port: 0, cert, key });
  const client = await Deno.connect({ hostname, port: listener.addr.port });
  const server = await listener.accept();
  const secured = await Deno.startTls(client, { hostname: "localhost", caCerts });
  await throws(() => client.write(new Uint8Array(1)), "BadResource", "Bad resource ID");
  await secured.write(encode("secret"));
  await secured.closeWrite();
  equal(await all(server), "secret");
  secured.close();
});

await test("an invalid certificate or key is rejected", () => {
  const wrong = (pem: { cert: string; key: string }) => () => Deno.listenTls({ hostname, port: 0, ...pem });
  throwsSync(wrong({ cert: "", key }), "InvalidData", "No certificates found in certificate data");
  throwsSync(wrong({ cert, key: "" }), "InvalidData", "No keys found in key data");
});

await test("a host name is resolved", async () => {
  using listener = Deno.listen({ hostname: "localhost", port: 0 });
  const [client, server] = await Promise.all([
    Deno.connect({ hostname: "localhost", port: listener.addr.port }),
    listener.accept(),
  ]);
  client.close();
  server.close();
});

Deno.removeSync(directory, { recursive: true });
