// What the runtime has of Deno that its declarations lack, or that comes with those of Deno KV.

declare namespace Deno {
  /** Returns how long the process has run, in microseconds. */
  export function cpuUsage(): { system: number; user: number };

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
