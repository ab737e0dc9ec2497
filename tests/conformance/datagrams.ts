// Datagrams: UDP and Unix sockets.

import { difference, equal } from "./harness.ts";

const hostname = "127.0.0.1";
const REASON = "Deno has datagrams with --unstable-net only";

const encode = (text: string) => new TextEncoder().encode(text);
const decode = (bytes: Uint8Array) => new TextDecoder().decode(bytes);

await difference("a datagram is sent and received", REASON, async () => {
  const one = Deno.listenDatagram({ transport: "udp", hostname, port: 0 });
  const other = Deno.listenDatagram({ transport: "udp", hostname, port: 0 });
  equal([one.addr.transport, (one.addr as Deno.NetAddr).hostname], ["udp", hostname]);
  equal(await one.send(encode("ping"), other.addr), 4);
  const [ping, from] = await other.receive();
  equal([decode(ping), from], ["ping", one.addr]);
  await other.send(encode("pong"), from);
  equal(decode((await one.receive(new Uint8Array(2)))[0]), "po");
  one.close();
  other.close();
});

await difference("a closed socket receives no datagrams", REASON, async () => {
  const socket = Deno.listenDatagram({ transport: "udp", hostname, port: 0 });
  const received = Array.fromAsync(socket);
  socket.close();
  equal(await received, []);
});

await difference("datagrams are sent over Unix sockets", REASON, async () => {
  const directory = Deno.makeTempDirSync({ prefix: "openkv_" });
  const one = Deno.listenDatagram({ transport: "unixpacket", path: `${directory}/one` });
  const other = Deno.listenDatagram({ transport: "unixpacket", path: `${directory}/other` });
  await one.send(encode("ping"), other.addr);
  const [ping, from] = await other.receive();
  equal([decode(ping), from], ["ping", { transport: "unixpacket", path: `${directory}/one` }]);
  one.close();
  other.close();
  Deno.removeSync(directory, { recursive: true });
});
