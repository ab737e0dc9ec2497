// The unstable APIs of Deno that the runtime has. Deno's own declarations of them include those of Deno KV.

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
