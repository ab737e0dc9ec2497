// `openkv db import`: stores lines of JSON, in atomic batches. Each batch of a file also stores how far the import is, so that it
// continues there after an interruption.

import { expiringAt } from "../studio/expiry.ts";
import { decodeKey, encodeKey } from "../studio/format.ts";
import { importStateKey, type Line, MAX_KEYS_LENGTH, parseLine } from "../studio/lines.ts";
import { parseKey } from "../studio/parse.ts";
import { printKey } from "../studio/print.ts";
import { entries, Progress } from "./output.ts";
import { Failure, type Settings } from "./settings.ts";

// The limits of a batch, within those of a commit. A character takes up to two bytes in a value.
/** In entries. All but those that are replaced are checked, and so is the state. */
const MAX_ENTRIES = { fail: 99, keep: 99, replace: 500 };
/** In characters of lines. */
const MAX_LENGTH = 256 * 1024;

/** The state of an import, which the database stores until the import is complete. */
interface State {
  file: string;
  size: number;
  modified: number;
  /** The number of lines that are done. */
  lines: number;
  written: number;
  kept: number;
}

/** A line that was read. */
interface Numbered extends Line {
  number: number;
}

export async function importEntries(kv: Deno.Kv, settings: Settings): Promise<number> {
  const { file } = settings;
  const import_ = new Import(kv, settings);
  const progress = new Progress();
  const source = file === null ? Deno.stdin.readable : (await Deno.open(file)).readable;
  const size = file === null ? null : await import_.begin(file);
  let bytes = 0;
  const counted = new TransformStream<Uint8Array, Uint8Array>({
    transform(chunk, controller) {
      bytes += chunk.length;
      controller.enqueue(chunk);
    },
  });
  let [number, rest] = [0, ""];
  const add = async (line: string) => {
    number += 1;
    if (line.trim() !== "" && number > import_.state.lines) await import_.add(number, line);
    progress.update(() => {
      const part = size ? ` (${Math.floor(100 * Math.min(bytes / size, 1))} %)` : "";
      return `${entries(import_.state.written)}${part}`;
    });
  };
  for await (const text of source.pipeThrough(counted).pipeThrough(new TextDecoderStream("utf-8", { fatal: true }))) {
    const lines = (rest + text).split("\n");
    rest = lines.pop()!;
    for (const line of lines) await add(line);
  }
  if (rest !== "") await add(rest);
  await import_.finish();
  progress.clear();
  const { written, kept } = import_.state;
  console.log(`imported ${entries(written)}${kept > 0 ? `, kept ${entries(kept)} that existed` : ""}`);
  return 0;
}

class Import {
  state: State = { file: "", size: 0, modified: 0, lines: 0, written: 0, kept: 0 };
  #kv: Deno.Kv;
  #onConflict: Settings["onConflict"];
  #prefix: Deno.KvKey;
  /** The key of the state, and its version, if the source is a file. */
  #stored: { key: Deno.KvKey; versionstamp: string | null } | undefined;
  #batch = new Map<string, Numbered>();
  #length = 0;
  #keysLength = 0;

  constructor(kv: Deno.Kv, { onConflict, range }: Settings) {
    this.#kv = kv;
    this.#onConflict = onConflict;
    this.#prefix = range.prefix === null ? [] : decodeKey(parseKey(range.prefix));
  }

  /** Continues an import of the file that was interrupted, if there is one. Returns the size of the file. */
  async begin(name: string): Promise<number> {
    const file = await Deno.realPath(name);
    const { size, mtime } = await Deno.stat(file);
    const modified = mtime?.getTime() ?? 0;
    // Under another prefix, it is another import.
    const key = importStateKey(file, this.#prefix);
    const { value, versionstamp } = await this.#kv.get<State>(key);
    if (value !== null && value.size === size && value.modified === modified) this.state = value;
    else this.state = { ...this.state, file, size, modified };
    this.#stored = { key, versionstamp };
    return size;
  }

  async add(number: number, text: string): Promise<void> {
    let line: Numbered;
    try {
      const parsed = parseLine(text);
      line = { ...parsed, number, key: [...this.#prefix, ...parsed.key] };
    } catch (error) {
      throw new Failure(`line ${number} is not an entry: ${(error as Error).message}`);
    }
    const name = JSON.stringify(encodeKey(line.key));
    const isFull = this.#batch.size >= MAX_ENTRIES[this.#onConflict] || this.#length + text.length > MAX_LENGTH ||
      this.#keysLength + name.length > MAX_KEYS_LENGTH;
    // A key that occurs twice is in different batches, so that its second entry meets its first.
    if (this.#batch.size > 0 && (isFull || this.#batch.has(name))) await this.#commit(number - 1);
    this.#batch.set(name, line);
    this.#length += text.length;
    this.#keysLength += name.length;
  }

  /** Commits the last batch, and deletes the state. */
  async finish(): Promise<void> {
    if (this.#batch.size > 0 || this.#stored?.versionstamp) await this.#commit(null);
  }

  /** Commits the batch, after which this many lines are done: null for all. */
  async #commit(lines: number | null): Promise<void> {
    const existing = new Set<string>();
    while (true) {
      const operation = this.#kv.atomic();
      const added = [...this.#batch].filter(([name]) => !existing.has(name)).map(([, line]) => line);
      for (const { key, value, expiresAt } of added) {
        if (this.#onConflict !== "replace") operation.check({ key, versionstamp: null });
        operation.set(key, value, expiringAt(expiresAt));
      }
      const state = this.state;
      const { written, kept } = { written: state.written + added.length, kept: state.kept + existing.size };
      const next: State = { ...state, lines: lines ?? state.lines, written, kept };
      if (this.#stored) {
        operation.check(this.#stored);
        if (lines === null) operation.delete(this.#stored.key);
        else operation.set(this.#stored.key, next);
      }
      const result = await this.#write(operation, added);
      if (result.ok) {
        if (this.#stored) this.#stored.versionstamp = result.versionstamp;
        this.state = next;
        [this.#batch, this.#length, this.#keysLength] = [new Map(), 0, 0];
        return;
      }
      for (const line of result.existing) {
        if (this.#onConflict === "fail") {
          const [key, number] = [printKey(encodeKey(line.key)), line.number];
          throw new Failure(
            `line ${number}: the entry ${key} exists: --on-conflict keeps or replaces such entries; ` +
              `${entries(state.written)} before it ${state.written === 1 ? "is" : "are"} imported`,
          );
        }
        existing.add(JSON.stringify(encodeKey(line.key)));
      }
    }
  }

  async #write(operation: Deno.AtomicOperation, added: Numbered[]) {
    let result;
    try {
      result = await operation.commit();
    } catch (error) {
      const [first, last] = [added[0]?.number, added.at(-1)?.number];
      throw new Failure(`lines ${first} to ${last} cannot be stored: ${(error as Error).message}`);
    }
    if (result.ok) return result;
    const found = await this.#existing(added);
    if (found.length === 0 && this.#onConflict === "replace" || this.#stored && await this.#isTaken()) {
      throw new Failure("another process imports the same file");
    }
    return { ok: false as const, existing: found };
  }

  /** Returns the lines whose keys exist. */
  async #existing(lines: Numbered[]): Promise<Numbered[]> {
    const found: Numbered[] = [];
    for (let first = 0; first < lines.length; first += 10) {
      const some = lines.slice(first, first + 10);
      const stored = await this.#kv.getMany(some.map(({ key }) => key));
      found.push(...some.filter((_, index) => stored[index].versionstamp !== null));
    }
    return found;
  }

  async #isTaken(): Promise<boolean> {
    const { key, versionstamp } = this.#stored!;
    return (await this.#kv.get(key)).versionstamp !== versionstamp;
  }
}
