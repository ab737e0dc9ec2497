// The workloads of a database before it is closed. Prints "a NUMBER LENGTH HANDLE" for each acknowledged write.

/** The workloads. */
export const KINDS = ["small", "many", "large", "reads", "watch", "queue", "handles", "unawaited"] as const;
export type Kind = typeof KINDS[number];

const encoder = new TextEncoder();

/** Prints a line synchronously, before the process can exit. */
export function say(line: string) {
  const bytes = encoder.encode(`${line}\n`);
  for (let written = 0; written < bytes.length;) written += Deno.stdout.writeSync(bytes.subarray(written));
}

export const sleep = (milliseconds: number) => new Promise((resolve) => setTimeout(resolve, milliseconds));

/** An open file, with one handle or with several. */
export class Writer {
  #kvs: Deno.Kv[];
  #kind: Kind;
  #written = 0;
  /** The writes that are not awaited. */
  readonly inFlight: Promise<unknown>[] = [];

  private constructor(kvs: Deno.Kv[], kind: Kind) {
    this.#kvs = kvs;
    this.#kind = kind;
  }

  static async open(path: string, kind: Kind): Promise<Writer> {
    say(`begin ${path}`);
    const kvs = await Promise.all(Array.from({ length: kind === "handles" ? 3 : 1 }, () => Deno.openKv(path)));
    return new Writer(kvs, kind);
  }

  /** Writes a new entry, and overwrites the entry that all writes of the handle share. */
  async write(length: number): Promise<void> {
    const number = this.#written++, handle = number % this.#kvs.length;
    const atomic = this.#kvs[handle].atomic().set(["written", number], new Uint8Array(length).fill(number));
    const { ok } = await atomic.set(["last", handle], new Uint8Array([number >> 8, number])).commit();
    if (!ok) throw new Error("a commit without checks was rejected");
    say(`a ${number} ${length} ${handle}`);
  }

  /** Runs the workload. */
  async use(): Promise<void> {
    const [kv] = this.#kvs;
    const many = (count: number, length: number) => Promise.all(Array.from({ length: count }, () => this.write(length)));
    if (this.#kind === "watch") this.#watch(kv);
    if (this.#kind === "queue") kv.listenQueue(() => {});
    await this.write(100);
    switch (this.#kind) {
      case "many":
        await many(300, 200);
        break;
      case "large":
        await many(12, 60_000);
        break;
      case "reads":
        await this.write(50);
        await kv.get(["written", 0]);
        await Array.fromAsync(kv.list({ prefix: ["written"] }, { batchSize: 1 }));
        break;
      case "watch":
      case "handles":
        await many(10, 1000);
        break;
      case "queue":
        await Promise.all(Array.from({ length: 20 }, (_, i) => kv.enqueue(i)));
        await this.write(100);
        break;
      case "unawaited":
        for (let i = 0; i < 20; i++) {
          const write = this.write(i * 1000);
          // A rejected write need not be in the file.
          write.catch((error) => say(`rejected ${error}`));
          this.inFlight.push(write);
        }
        break;
    }
  }

  async #watch(kv: Deno.Kv) {
    for await (const _ of kv.watch([["last", 0]]));
  }

  /** Closes the file in one of two ways, and prints how long it took. */
  close(byDispose: boolean) {
    const begin = performance.now();
    for (const kv of this.#kvs) {
      if (byDispose) kv[Symbol.dispose]();
      else kv.close();
    }
    say(`closed ${performance.now() - begin}`);
  }
}
