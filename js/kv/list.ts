import { primordials } from "ext:core/mod.js";
import { op_openkv_encode_cursor, op_openkv_list, op_openkv_yield_is_due } from "ext:core/ops";
import { option } from "ext:openkv/options.ts";
import { afterYield } from "ext:openkv/read.ts";
import { copySelector, isEventual, type Selector } from "ext:openkv/selector.ts";
import type { Key } from "ext:openkv/write.ts";

const {
  ArrayPrototypePush,
  ArrayPrototypeShift,
  ArrayPrototypeSlice,
  Error,
  NumberIsInteger,
  ObjectDefineProperty,
  Promise,
  SymbolAsyncIterator,
} = primordials;

type Entry = { key: Key; value: unknown; versionstamp: string; readonly cursor: string };

export interface ListOptions {
  limit?: number;
  batchSize?: number;
  cursor?: string;
  reverse?: boolean;
  consistency?: "strong" | "eventual";
  values?: boolean;
}

/** How many entries a batch has where a listing names neither a batch size nor a limit, and at most by its limit. */
const DEFAULT_BATCH = 100;
const DEFAULT_BATCH_MAX = 500;

/**
 * An entry's elements in a batch: key, value and versionstamp, one entry after the other. Last in the batch stands whether
 * there may be more.
 */
const STRIDE = 3;

/** The entries of a selector, read in batches. */
export class KvListIterator {
  #rid: number;
  #selector: Selector;
  #limit: number;
  #batchSize: number;
  #reverse: boolean;
  #consistency: unknown;
  #values: boolean;
  /** The cursor to begin after, until an entry was read. */
  #cursor: string | undefined;
  /** The key of the last entry that a call was answered. */
  #lastKey: Key | undefined;
  /** The key after which the next batch begins: a copy, as scripts may change the keys of the entries they have. */
  #batchKey: Key | undefined;
  #batch: unknown[] = [];
  #next = 0;
  /** Where the entries of the batch end. */
  #end = 0;
  #count = 0;
  /** Whether the batch is the last one. */
  #last = false;
  #exhausted = false;
  /** Whether a call reads a batch, or one that waited for it is about to go on. */
  #reading = false;
  /** What wakes the calls that wait for it, in their order. */
  #waiting: (() => void)[] | undefined;

  /** Options may stand in the selector as well; those beside it win. */
  constructor(rid: number, selector: Selector & ListOptions, options: ListOptions) {
    const read = <K extends keyof ListOptions>(name: K) => {
      const value = option(options, name);
      return value === undefined && selector ? option(selector, name) : value;
    };
    const limit = read("limit");
    if (limit !== undefined && (!NumberIsInteger(limit) || limit <= 0)) {
      throw new Error(`Limit must be a positive integer: received ${limit}`);
    }
    const asked = read("batchSize");
    let batchSize = asked ?? limit ?? DEFAULT_BATCH;
    if (!NumberIsInteger(batchSize) || batchSize <= 0) {
      throw new Error(`batchSize must be a positive integer: received ${batchSize}`);
    }
    if (asked === undefined && batchSize > DEFAULT_BATCH_MAX) batchSize = DEFAULT_BATCH_MAX;
    this.#rid = rid;
    this.#selector = copySelector(selector);
    this.#limit = limit ?? Infinity;
    this.#batchSize = batchSize;
    // As on Deno, nothing else reverses: not 1, and not "true".
    this.#reverse = read("reverse") === true;
    this.#consistency = read("consistency");
    this.#values = !!(read("values") ?? true);
    this.#cursor = read("cursor") || undefined;
  }

  /** The cursor that continues after the last entry; empty once there are no more. */
  get cursor(): string {
    if (this.#exhausted) return "";
    if (this.#lastKey !== undefined) return op_openkv_encode_cursor(this.#selector, this.#lastKey);
    if (this.#cursor !== undefined) return this.#cursor;
    throw new Error("Cannot get cursor before first iteration");
  }

  /** Two functions, as it is called for every entry: what an async function may have to keep costs, awaited or not. */
  next(): Promise<IteratorResult<Entry, undefined>> {
    return this.#reading || this.#needsBatch() ? this.#nextInTurn() : this.#nextInBatch();
  }

  // deno-lint-ignore require-await -- it makes the promise, and a rejection of what it throws
  async #nextInBatch(): Promise<IteratorResult<Entry, undefined>> {
    return this.#take();
  }

  /** Reads a batch first, once the calls before it are answered. */
  async #nextInTurn(): Promise<IteratorResult<Entry, undefined>> {
    if (this.#reading) {
      await new Promise<void>((wake) => ArrayPrototypePush(this.#waiting ??= [], wake));
    }
    this.#reading = true;
    try {
      if (this.#needsBatch()) {
        const batch = this.#read();
        this.#begin(batch === undefined || op_openkv_yield_is_due() ? await afterYield(batch) : batch);
      }
      return this.#take();
    } finally {
      this.#reading = false;
      const wake = this.#waiting && ArrayPrototypeShift(this.#waiting);
      if (wake !== undefined) {
        // Calls that are made until it goes on come after it.
        this.#reading = true;
        wake();
      }
    }
  }

  #needsBatch(): boolean {
    return this.#next === this.#end && !this.#last && this.#count < this.#limit;
  }

  /** Takes the next entry of the batch. */
  #take(): IteratorResult<Entry, undefined> {
    if (this.#count >= this.#limit) return { done: true, value: undefined };
    if (this.#next === this.#end) {
      this.#exhausted = true;
      return { done: true, value: undefined };
    }
    const batch = this.#batch;
    const i = this.#next;
    this.#next += STRIDE;
    this.#count++;
    const key = batch[i] as Key;
    this.#lastKey = key;
    const entry = { key, value: batch[i + 1], versionstamp: batch[i + 2] as string };
    return { done: false, value: withCursor(entry, this.#selector) };
  }

  /** Reads the next batch. Undefined where another thread reads it. */
  #read(): unknown[] | undefined {
    return op_openkv_list(this.#rid, this.#selector, {
      limit: this.#batchSize,
      reverse: this.#reverse,
      values: this.#values,
      eventual: isEventual(this.#consistency),
      cursor: this.#batchKey === undefined ? this.#cursor : op_openkv_encode_cursor(this.#selector, this.#batchKey),
    });
  }

  #begin(batch: unknown[]): void {
    this.#batch = batch;
    this.#next = 0;
    this.#end = batch.length - 1;
    this.#last = !batch[this.#end];
    const isFollowed = !this.#last && this.#count + this.#end / STRIDE < this.#limit;
    if (isFollowed && this.#end > 0) this.#batchKey = ArrayPrototypeSlice(batch[this.#end - STRIDE] as Key);
  }

  [SymbolAsyncIterator](): this {
    return this;
  }
}

class Identity {
  constructor(object: object) {
    return object;
  }
}

/** Stamps an entry with the selector that listed it, where nothing but this class sees it. */
class Listed extends Identity {
  #selector: Selector;
  #key: Key;

  constructor(entry: object, selector: Selector, key: Key) {
    super(entry);
    this.#selector = selector;
    this.#key = key;
  }

  static cursor(entry: Listed): string {
    return op_openkv_encode_cursor(entry.#selector, entry.#key);
  }
}

const CURSOR = {
  __proto__: null,
  configurable: true,
  get(this: Listed) {
    return Listed.cursor(this);
  },
};

/** Gives an entry a cursor that is there to be read, and shows nowhere else. */
function withCursor(entry: Omit<Entry, "cursor">, selector: Selector): Entry {
  new Listed(entry, selector, entry.key);
  return ObjectDefineProperty(entry as Entry, "cursor", CURSOR);
}
