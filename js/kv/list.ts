import { primordials } from "ext:core/mod.js";
import { op_kv_encode_cursor, op_kv_list, op_kv_turn } from "ext:core/ops";

const {
  ArrayPrototypeSlice,
  Error,
  NumberIsInteger,
  ObjectFreeze,
  SymbolAsyncIterator,
  TypeError,
} = primordials;

type Key = readonly unknown[];
type Entry = { key: Key; value: unknown; versionstamp: string };

export interface Selector {
  prefix?: Key;
  start?: Key;
  end?: Key;
}

export interface ListOptions {
  limit?: number;
  batchSize?: number;
  cursor?: string;
  reverse?: boolean;
}

/** How many entries a batch has where a listing names neither a batch size nor a limit, and at most by its limit. */
const DEFAULT_BATCH = 100;
const DEFAULT_BATCH_MAX = 500;

/** An entry's elements in a batch: key, value and versionstamp, one entry after the other. */
const STRIDE = 3;

/** The entries of a selector, read in batches. */
export class KvListIterator {
  #rid: number;
  #selector: Selector;
  #limit: number;
  #batchSize: number;
  #reverse: boolean;
  /** The cursor to begin after, until an entry was read. */
  #cursor: string | undefined;
  /** The key of the last entry that was read. */
  #lastKey: Key | undefined;
  #batch: unknown[] = [];
  #next = 0;
  #count = 0;
  /** Whether the batch is the last one. */
  #last = false;
  #exhausted = false;

  constructor(rid: number, selector: Selector, options: ListOptions) {
    const { limit, reverse, cursor } = options;
    if (limit !== undefined && (!NumberIsInteger(limit) || limit <= 0)) {
      throw new Error(`Limit must be a positive integer: received ${limit}`);
    }
    let batchSize = options.batchSize ?? limit ?? DEFAULT_BATCH;
    if (!NumberIsInteger(batchSize) || batchSize <= 0) {
      throw new Error(`batchSize must be a positive integer: received ${batchSize}`);
    }
    if (options.batchSize === undefined && batchSize > DEFAULT_BATCH_MAX) {
      batchSize = DEFAULT_BATCH_MAX;
    }
    this.#rid = rid;
    this.#selector = freeze(selector);
    this.#limit = limit ?? Infinity;
    this.#batchSize = batchSize;
    this.#reverse = reverse ?? false;
    this.#cursor = cursor || undefined;
  }

  /** The cursor that continues after the last entry; empty once there are no more. */
  get cursor(): string {
    if (this.#exhausted) return "";
    if (this.#lastKey !== undefined) return op_kv_encode_cursor(this.#selector, this.#lastKey);
    if (this.#cursor !== undefined) return this.#cursor;
    throw new Error("Cannot get cursor before first iteration");
  }

  async next(): Promise<IteratorResult<Entry, undefined>> {
    if (this.#exhausted || this.#count >= this.#limit) {
      return { done: true, value: undefined };
    }
    if (this.#next === this.#batch.length && !this.#last) {
      await this.#read();
    }
    if (this.#next === this.#batch.length) {
      this.#exhausted = true;
      return { done: true, value: undefined };
    }
    const batch = this.#batch;
    const i = this.#next;
    this.#next += STRIDE;
    this.#count++;
    const key = batch[i] as Key;
    this.#lastKey = key;
    return { done: false, value: { key, value: batch[i + 1], versionstamp: batch[i + 2] as string } };
  }

  async #read(): Promise<void> {
    const range = {
      limit: this.#batchSize,
      reverse: this.#reverse,
      cursor: this.#lastKey === undefined ? this.#cursor : this.cursor,
    };
    let batch: unknown[] | undefined;
    while ((batch = op_kv_list(this.#rid, this.#selector, range)) === undefined) await op_kv_turn();
    this.#batch = batch;
    this.#next = 0;
    this.#last = batch.length < this.#batchSize * STRIDE;
  }

  [SymbolAsyncIterator](): this {
    return this;
  }
}

/** Copies a selector, so that changing it later does not change the listing. */
function freeze({ prefix, start, end }: Selector): Selector {
  if (prefix === undefined && (start === undefined || end === undefined)) {
    throw new TypeError("Selector must specify either 'prefix' or both 'start' and 'end' key");
  }
  const copy = (key: Key | undefined) => key && ObjectFreeze(ArrayPrototypeSlice(key));
  return ObjectFreeze({ prefix: copy(prefix), start: copy(start), end: copy(end) });
}
