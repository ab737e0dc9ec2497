// Output of lines, and of the progress of long commands.

const FLUSHED = 64 * 1024;

/** Collects lines, and writes them in large pieces. */
export class Lines {
  #target: { write(bytes: Uint8Array): Promise<number> };
  #lines: string[] = [];
  #length = 0;

  constructor(target: { write(bytes: Uint8Array): Promise<number> }) {
    this.#target = target;
  }

  async add(line: string): Promise<void> {
    this.#lines.push(line, "\n");
    this.#length += line.length;
    if (this.#length >= FLUSHED) await this.flush();
  }

  async flush(): Promise<void> {
    let bytes = new TextEncoder().encode(this.#lines.join(""));
    [this.#lines, this.#length] = [[], 0];
    while (bytes.length > 0) bytes = bytes.subarray(await this.#target.write(bytes));
  }
}

/** The state of a long command, in a line of stderr if that is a terminal. */
export class Progress {
  #isShown = Deno.stderr.isTerminal();
  #next = 0;

  update(text: () => string): void {
    const now = performance.now();
    if (!this.#isShown || now < this.#next) return;
    this.#next = now + 100;
    this.#write(text());
  }

  clear(): void {
    if (this.#isShown) this.#write("");
  }

  #write(text: string): void {
    // Returns to the start of the line, and erases it.
    Deno.stderr.writeSync(new TextEncoder().encode(`\r\x1b[K${text}`));
  }
}

/** Returns a number as it is printed, such as "12,345 entries". */
export function entries(count: number): string {
  return `${count.toLocaleString("en")} ${count === 1 ? "entry" : "entries"}`;
}
