import { core, primordials } from "ext:core/mod.js";
import { op_kv_get, op_kv_get_many, op_kv_turn } from "ext:core/ops";
import {
  AtomicOperation,
  commit,
  commitVersionstamp,
  enqueue,
  type EnqueueOptions,
  set,
} from "ext:openkv/atomic.ts";
import { KvListIterator, type ListOptions, type Selector } from "ext:openkv/list.ts";

const { ArrayPrototypeMap, SymbolDispose, TypeError } = primordials;

/** What only this module and `openKv` know: scripts cannot construct a Kv. */
export const token = { __proto__: null };

type Key = readonly unknown[];
/** An entry as the ops answer it. */
type Found = [Key, unknown, string] | null;
type Maybe = { key: Key; value: unknown; versionstamp: string | null };

/** An open database. */
export class Kv {
  #rid: number;

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

  async get(key: Key): Promise<Maybe> {
    let found: Found | undefined;
    while ((found = op_kv_get(this.#rid, key)) === undefined) await op_kv_turn();
    return entry(key, found);
  }

  async getMany(keys: Key[]): Promise<Maybe[]> {
    // A copy, so that its keys are those that were read; and anything that can be mapped is taken as an array.
    const asked = ArrayPrototypeMap(keys, (key: Key) => key);
    let found: Found[] | undefined;
    while ((found = op_kv_get_many(this.#rid, asked)) === undefined) await op_kv_turn();
    return ArrayPrototypeMap(asked, (key: Key, i: number) => entry(key, found[i]));
  }

  async set(key: Key, value: unknown, options?: { expireIn?: number }) {
    const mutation = set(key, value, options?.expireIn);
    return await commit(this.#rid, { checks: [], mutations: [mutation], enqueues: [] });
  }

  async delete(key: Key): Promise<void> {
    await commit(this.#rid, { checks: [], mutations: [{ type: "delete", key }], enqueues: [] });
  }

  list(selector: Selector, options: ListOptions = { __proto__: null } as ListOptions): KvListIterator {
    return new KvListIterator(this.#rid, selector, options);
  }

  async enqueue(message: unknown, options?: EnqueueOptions) {
    return await commit(this.#rid, { checks: [], mutations: [], enqueues: [enqueue(message, options)] });
  }

  close(): void {
    core.close(this.#rid);
  }

  [SymbolDispose](): void {
    core.tryClose(this.#rid);
  }
}

function entry(key: Key, found: Found): Maybe {
  return found === null
    ? { key, value: null, versionstamp: null }
    : { key: found[0], value: found[1], versionstamp: found[2] };
}
