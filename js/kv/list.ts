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

/** The batch size where a listing has neither a batch size nor a limit, and the maximum that a limit leads to. */
const DEFAULT_BATCH = 100;
const DEFAULT_BATCH_MAX = 500;

/**
 * The number of elements of an entry in a batch: key and versionstamp. They are followed by an array of the values, and by whether
 * there may be more entries.
 */
const STRIDE = 2;

/** The entries of a selector, read in batches. */
export class KvListIterator {
  #rid: number;
  #selector: Selector;
  #limit: number;
  #batchSize: number;
  #reverse: boolean;
  #consistency: unknown;
  #withValues: boolean;
  /** The cursor to start after, used until an entry has been read. */
  #cursor: string | undefined;
  /** The key of the last entry that was returned. */
  #lastKey: Key | undefined;
  /** The key after which the next batch starts: a copy, as scripts may change the keys of the entries they have. */
  #batchKey: Key | undefined;
  #batch: unknown[] = [];
  #values: unknown[] = [];
  #next = 0;
  /** The number of entries in the batch. */
  #end = 0;
  #count = 0;
  /** Whether the batch is the last one. */
  #last = false;
  #exhausted = false;
  /** Whether a call reads a batch, or one that waited for it is about to resume. */
  #reading = false;
  /** Wakes the calls that wait for it, in their order. */
  #waiting: (() => void)[] | undefined;

  /** Creates an iterator. Options may also be in the selector; those in `options` take precedence. */
  constructor(rid: number, selector: Selector & ListOptions, options: ListOptions) {
    const read = <K extends keyof ListOptions>(name: K) => {
      const value = option(options, name);
      return value === undefined && selector ? option(selector, name) : value;
    };
    const limit = read("limit");
    if (limit !== undefined && (!NumberIsInteger(limit) || limit <= 0)) {
      throw new Error(`Limit must be a positive integer: received ${limit}`);
    }
    const requested = read("batchSize");
    let batchSize = requested ?? limit ?? DEFAULT_BATCH;
    if (!NumberIsInteger(batchSize) || batchSize <= 0) {
      throw new Error(`batchSize must be a positive integer: received ${batchSize}`);
    }
    if (requested === undefined && batchSize > DEFAULT_BATCH_MAX) batchSize = DEFAULT_BATCH_MAX;
    this.#rid = rid;
    this.#selector = copySelector(selector);
    this.#limit = limit ?? Infinity;
    this.#batchSize = batchSize;
    // As on Deno, only `true` reverses, not 1 or "true".
    this.#reverse = read("reverse") === true;
    this.#consistency = read("consistency");
    this.#withValues = !!(read("values") ?? true);
    this.#cursor = read("cursor") || undefined;
  }

  /** Returns the cursor that continues after the last entry, or an empty string once there are no more. */
  get cursor(): string {
    if (this.#exhausted) return "";
    if (this.#lastKey !== undefined) return op_openkv_encode_cursor(this.#selector, this.#lastKey);
    if (this.#cursor !== undefined) return this.#cursor;
    throw new Error("Cannot get cursor before first iteration");
  }

  /** Returns the next entry. Two async functions: the state that one keeps across an `await` costs, even if none is reached. */
  next(): Promise<IteratorResult<Entry, undefined>> {
    return this.#reading || this.#needsBatch() ? this.#nextInTurn() : this.#nextInBatch();
  }

  // deno-lint-ignore require-await -- creates the promise, and turns an exception into a rejection
  async #nextInBatch(): Promise<IteratorResult<Entry, undefined>> {
    return this.#take();
  }

  /** Reads a batch first, once the calls before it are done. */
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
        // Calls that are made before it resumes come after it.
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
    const i = this.#next++;
    this.#count++;
    const key = this.#batch[STRIDE * i] as Key;
    this.#lastKey = key;
    const entry = { key, value: this.#values[i], versionstamp: this.#batch[STRIDE * i + 1] as string };
    return { done: false, value: withCursor(entry, this.#selector) };
  }

  /** Reads the next batch. Returns undefined if another thread reads it. */
  #read(): unknown[] | undefined {
    return op_openkv_list(this.#rid, this.#selector, {
      limit: this.#batchSize,
      reverse: this.#reverse,
      values: this.#withValues,
      eventual: isEventual(this.#consistency),
      cursor: this.#batchKey === undefined ? this.#cursor : op_openkv_encode_cursor(this.#selector, this.#batchKey),
    });
  }

  #begin(batch: unknown[]): void {
    this.#batch = batch;
    this.#values = batch[batch.length - 2] as unknown[];
    this.#next = 0;
    this.#end = this.#values.length;
    this.#last = !batch[batch.length - 1];
    const isFollowed = !this.#last && this.#count + this.#end < this.#limit;
    if (isFollowed && this.#end > 0) this.#batchKey = ArrayPrototypeSlice(batch[STRIDE * (this.#end - 1)] as Key);
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

/** Adds private fields to an entry, by returning it from the super constructor: the selector that listed it, and its key. */
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

/** Adds a cursor to an entry, as an accessor that is not enumerable. */
function withCursor(entry: Omit<Entry, "cursor">, selector: Selector): Entry {
  new Listed(entry, selector, entry.key);
  return ObjectDefineProperty(entry as Entry, "cursor", CURSOR);
}
