// A running studio on a database of its own.

export class Studio implements AsyncDisposable {
  readonly address: string;
  readonly directory: string;
  #process: Deno.ChildProcess;

  private constructor(address: string, directory: string, process: Deno.ChildProcess) {
    this.address = address;
    this.directory = directory;
    this.#process = process;
  }

  /** Creates a database with a function, and starts the studio on it. */
  static async start(fill: (kv: Deno.Kv) => Promise<unknown>, ...flags: string[]): Promise<Studio> {
    const directory = await Deno.makeTempDir();
    const path = `${directory}/kv.db`;
    const kv = await Deno.openKv(path);
    await fill(kv);
    kv.close();
    const args = ["studio", "--no-open", ...flags, path];
    const process = new Deno.Command(Deno.execPath(), { args, stdout: "piped" }).spawn();
    let output = "";
    const reader = process.stdout.pipeThrough(new TextDecoderStream()).getReader();
    while (!output.includes("\n")) {
      const { done, value } = await reader.read();
      if (done) throw new Error("the studio has not started");
      output += value;
    }
    await reader.cancel();
    return new Studio(output.trim(), directory, process);
  }

  /** Uses the database at the same time as the studio. */
  async use<T>(action: (kv: Deno.Kv) => Promise<T>): Promise<T> {
    using kv = await Deno.openKv(`${this.directory}/kv.db`);
    return await action(kv);
  }

  async [Symbol.asyncDispose]() {
    this.#process.kill("SIGTERM");
    await this.#process.status;
    await Deno.remove(this.directory, { recursive: true });
  }
}
