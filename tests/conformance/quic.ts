// QUIC and WebTransport.

import { cert, key } from "../certificate.ts";
import { difference, equal } from "./harness.ts";

const REASON = "Deno has QUIC with --unstable-net only";
const ALPN = "openkv-test";

const encode = (text: string) => new TextEncoder().encode(text);

/** Returns the next bytes of a stream, as many as a string has. */
async function receive(stream: ReadableStream<Uint8Array>, { length }: string): Promise<string> {
  const reader = stream.getReader();
  const decoder = new TextDecoder();
  let received = "";
  while (received.length < length) received += decoder.decode((await reader.read()).value);
  return received;
}

async function send(stream: WritableStream<Uint8Array>, message: string): Promise<void> {
  const writer = stream.getWriter();
  await writer.write(encode(message));
  await writer.close();
}

/** Checks the class of an object, whose name is that of a member of `Deno`. */
function hasClass({ constructor }: object, name: string): void {
  const [, member] = name.split(".");
  equal([constructor.name, constructor === (Deno as unknown as Record<string, unknown>)[member]], [member, true]);
}

/** The digest by which a client accepts the certificate of the tests. */
async function certificateHash(): Promise<{ algorithm: string; value: BufferSource }> {
  const base64 = cert.replaceAll(/-----.*-----|\s/g, "");
  const bytes = Uint8Array.from(atob(base64), (char) => char.charCodeAt(0));
  return { algorithm: "sha-256", value: await crypto.subtle.digest("SHA-256", bytes) };
}

await difference("a QUIC connection carries streams and datagrams", REASON, async () => {
  const server = new Deno.QuicEndpoint({ hostname: "127.0.0.1", port: 0 });
  const listener = server.listen({ cert, key, alpnProtocols: [ALPN] });
  const client = new Deno.QuicEndpoint();
  // Not a literal argument, as the type declarations lack the hashes.
  const options = {
    endpoint: client,
    hostname: "127.0.0.1",
    port: server.addr.port,
    alpnProtocols: [ALPN],
    serverCertificateHashes: [await certificateHash()],
  };
  const [accepted, connection] = await Promise.all([
    listener.incoming().then((incoming) => {
      hasClass(incoming, "Deno.QuicIncoming");
      return incoming.accept();
    }),
    Deno.connectQuic(options),
  ]);
  equal([accepted.protocol, connection.protocol], [ALPN, ALPN]);

  const stream = await connection.createBidirectionalStream();
  hasClass(listener, "Deno.QuicListener");
  hasClass(connection, "Deno.QuicConn");
  hasClass(stream, "Deno.QuicBidirectionalStream");
  hasClass(stream.readable, "Deno.QuicReceiveStream");
  hasClass(stream.writable, "Deno.QuicSendStream");
  await send(stream.writable, "ping");
  const { value: incoming } = await accepted.incomingBidirectionalStreams.getReader().read();
  equal(await receive(incoming!.readable, "ping"), "ping");
  await send(incoming!.writable, "pong");
  equal(await receive(stream.readable, "pong"), "pong");

  await connection.sendDatagram(encode("datagram"));
  equal(new TextDecoder().decode(await accepted.readDatagram()), "datagram");

  connection.close({ closeCode: 7, reason: "done" });
  const { closeCode, reason } = await accepted.closed;
  equal([closeCode, reason], [7, "done"]);
  client.close();
  server.close();
});

await difference("a WebTransport session carries streams", REASON, async () => {
  const server = new Deno.QuicEndpoint({ hostname: "127.0.0.1", port: 0 });
  const listener = server.listen({ cert, key, alpnProtocols: ["h3"] });
  const serving = (async () => {
    const session = await Deno.upgradeWebTransport(await listener.accept());
    await session.ready;
    const { value: stream } = await session.incomingBidirectionalStreams.getReader().read();
    await send(stream!.writable, `${new URL(session.url).pathname} ${await receive(stream!.readable, "ping")}`);
    return session;
  })();
  const client = new WebTransport(`https://127.0.0.1:${server.addr.port}/path`, {
    serverCertificateHashes: [await certificateHash()],
  });
  await client.ready;
  const stream = await client.createBidirectionalStream();
  await send(stream.writable, "ping");
  equal(await receive(stream.readable, "/path ping"), "/path ping");
  const session = await serving;
  client.close();
  await session.closed;
  server.close();
});
