import { primordials } from "ext:core/mod.js";
import { op_kv_mutations } from "ext:core/ops";
import { describe } from "ext:openkv/describe.ts";
import { combine, remove, set } from "ext:openkv/mutation.ts";
import { type Inspect, KvU64 } from "ext:openkv/u64.ts";
import {
  type Check,
  commit,
  enqueue,
  type EnqueueOptions,
  type Key,
  type Result,
  type Write,
} from "ext:openkv/write.ts";

const { ArrayPrototypePush, ObjectHasOwn, SymbolFor, TypeError } = primordials;

/** Checks, mutations and messages to commit as a whole or not at all. */
export class AtomicOperation {
  #rid: number;
  #write: Write = { checks: [], mutations: op_kv_mutations(), enqueues: [] };

  constructor(rid: number) {
    this.#rid = rid;
  }

  check(...checks: Check[]): this {
    for (let i = 0; i < checks.length; i++) {
      const check = checks[i];
      ArrayPrototypePush(this.#write.checks, { key: check.key, versionstamp: check.versionstamp });
    }
    return this;
  }

  mutate(...mutations: { type: string; key: Key; value?: unknown; expireIn?: number }[]): this {
    for (let i = 0; i < mutations.length; i++) {
      const mutation = mutations[i];
      const key = mutation.key;
      const { type, value } = mutation;
      switch (type) {
        case "delete":
          if (value) throw new TypeError("Invalid mutation 'delete' with value");
          this.delete(key);
          break;
        case "set":
        case "sum":
        case "min":
        case "max":
          if (!ObjectHasOwn(mutation, "value")) {
            throw new TypeError(`Invalid mutation '${type}' without value`);
          }
          if (type === "set") {
            const { expireIn } = mutation;
            set(this.#write.mutations, key, value, typeof expireIn === "number" ? expireIn : undefined);
          } else {
            combine(this.#write.mutations, type, key, value);
          }
          break;
        default:
          throw new TypeError("Invalid mutation type");
      }
    }
    return this;
  }

  sum(key: Key, n: bigint): this {
    combine(this.#write.mutations, "sum", key, new KvU64(n));
    return this;
  }

  min(key: Key, n: bigint): this {
    combine(this.#write.mutations, "min", key, new KvU64(n));
    return this;
  }

  max(key: Key, n: bigint): this {
    combine(this.#write.mutations, "max", key, new KvU64(n));
    return this;
  }

  set(key: Key, value: unknown, options?: { expireIn?: number }): this {
    set(this.#write.mutations, key, value, options?.expireIn);
    return this;
  }

  delete(key: Key): this {
    remove(this.#write.mutations, key);
    return this;
  }

  enqueue(message: unknown, options?: EnqueueOptions): this {
    ArrayPrototypePush(this.#write.enqueues, enqueue(message, options));
    return this;
  }

  async commit(): Promise<Result> {
    return await commit(this.#rid, this.#write, false);
  }

  then(): never {
    throw new TypeError("'Deno.AtomicOperation' is not a promise: did you forget to call 'commit()'");
  }

  [SymbolFor("Deno.privateCustomInspect")](inspect: Inspect, options: unknown): string {
    return describe(this.#write, inspect, options);
  }
}
