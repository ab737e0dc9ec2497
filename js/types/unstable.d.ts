// What the runtime has of Deno's unstable APIs, whose own declarations bring those of Deno KV with them.

declare namespace Deno {
  /** Binds a socket for datagrams. */
  export function listenDatagram(
    options: { transport: "udp"; hostname?: string; port: number } | { transport: "unixpacket"; path: string },
  ): DatagramConn;

  export interface DatagramConn extends AsyncIterable<[Uint8Array, Addr]> {
    readonly addr: Addr;
    receive(buffer?: Uint8Array): Promise<[Uint8Array, Addr]>;
    send(bytes: Uint8Array, to: Addr): Promise<number>;
    close(): void;
  }
}
