// The APIs of Deno that the runtime supports but Deno's stable declarations lack. Deno's own declarations of unstable APIs
// include those of Deno KV.

declare namespace Deno {
  /** Returns the CPU time of the process, in microseconds. */
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
