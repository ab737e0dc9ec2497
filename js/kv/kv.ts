import { primordials } from "ext:core/mod.js";
import {
  op_openkv_close,
  op_openkv_count,
  op_openkv_delete_range,
  op_openkv_get,
  op_openkv_mutations,
  op_openkv_yield_is_due,
} from "ext:core/ops";
import { AtomicOperation } from "ext:openkv/atomic.ts";
import { KvListIterator, type ListOptions } from "ext:openkv/list.ts";
import { type Mutations, remove, set } from "ext:openkv/mutation.ts";
import { option } from "ext:openkv/options.ts";
import { listen } from "ext:openkv/queue.ts";
import { afterYield, type Entry, entry, type Expiry, type Found, readExpiries, readMany } from "ext:openkv/read.ts";
import { copySelector, isEventual, type Selector } from "ext:openkv/selector.ts";
import { watch } from "ext:openkv/watch.ts";
import { commit, commitVersionstamp, enqueue, type EnqueueOptions, type Key, type Result } from "ext:openkv/write.ts";

const { Error, PromiseReject, SymbolDispose, TypeError } = primordials;

/** Known to this module and `openKv` only, so that scripts cannot construct a Kv. */
export const token = { __proto__: null };

type ReadOptions = { consistency?: "strong" | "eventual" };

/** An open database. */
export class Kv {
  #rid: number;
  #closed = false;
  /** The mutation of a call that commits immediately. */
  #mutation: Mutations = op_openkv_mutations(true);

  constructor(rid?: number, secret?: unknown) {
    if (secret !== token) {
      throw new TypeError("Deno.Kv can not be constructed: use Deno.openKv instead");
    }
    this.#rid = rid as number;
  }

  atomic(): AtomicOperation {
    return new AtomicOperation(this.#rid);
  }

  commitVersionstamp(): symbol {
    return commitVersionstamp;
  }

  async get(key: Key, options?: ReadOptions): Promise<Entry> {
    const eventual = isEventual(option(options ?? undefined, "consistency"));
    const found: Found | undefined = op_openkv_get(this.#rid, key, eventual);
    return entry(key, found === undefined || op_openkv_yield_is_due() ? await afterYield(found) : found);
  }

  async getMany(keys: Key[], options?: ReadOptions): Promise<Entry[]> {
    return await readMany(this.#rid, keys, isEventual(option(options ?? undefined, "consistency")));
  }

  async getExpiries(keys: Key[]): Promise<Expiry[]> {
    return await readExpiries(this.#rid, keys);
  }

  set(key: Key, value: unknown, options?: { expireIn?: number }): Promise<Result> {
    try {
      set(this.#mutation, key, value, option(options ?? undefined, "expireIn"));
    } catch (error) {
      return PromiseReject(error);
    }
    // Not an async function: it would add a promise to each write.
    return this.#commit();
  }

  async delete(key: Key): Promise<void> {
    remove(this.#mutation, key);
    await this.#commit();
  }

  list(selector: Selector & ListOptions, options: ListOptions = { __proto__: null } as ListOptions): KvListIterator {
    return new KvListIterator(this.#rid, selector, options);
  }

  async count(selector: Selector): Promise<number> {
    return await op_openkv_count(this.#rid, copySelector(selector));
  }

  async deleteRange(selector: Selector): Promise<number> {
    return await op_openkv_delete_range(this.#rid, copySelector(selector));
  }

  async enqueue(message: unknown, options?: EnqueueOptions) {
    return await commit(this.#rid, { checks: [], enqueues: [enqueue(message, options)] });
  }

  async listenQueue(handler: (message: unknown) => unknown): Promise<void> {
    if (this.#closed) throw new Error("Queue already closed");
    await listen(this.#rid, handler);
  }

  watch(keys: Key[], options?: { raw?: boolean }): ReadableStream<Entry[]> {
    return watch(this.#rid, keys, option(options, "raw") ?? false);
  }

  close(): void {
    op_openkv_close(this.#rid);
    this.#closed = true;
  }

  [SymbolDispose](): void {
    if (!this.#closed) this.close();
  }

  #commit() {
    return commit(this.#rid, { checks: [], mutations: this.#mutation, enqueues: [] });
  }
}
