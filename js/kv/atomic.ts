import { primordials } from "ext:core/mod.js";
import { describe } from "ext:openkv/describe.ts";
import { type Inspect, KvU64 } from "ext:openkv/u64.ts";
import { serialize } from "ext:openkv/value.ts";
import {
  type Check,
  commit,
  enqueue,
  type EnqueueOptions,
  type Key,
  type Mutation,
  type Result,
  set,
  type Write,
} from "ext:openkv/write.ts";

const { ArrayPrototypePush, ObjectHasOwn, SymbolFor, TypeError } = primordials;

/** Checks, mutations and messages to commit as a whole or not at all. */
export class AtomicOperation {
  #rid: number;
  #write: Write = { checks: [], mutations: [], enqueues: [] };

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
            this.#mutate(set(key, value, typeof expireIn === "number" ? expireIn : undefined));
          } else {
            this.#mutate({ type, key, value: serialize(value) });
          }
          break;
        default:
          throw new TypeError("Invalid mutation type");
      }
    }
    return this;
  }

  sum(key: Key, n: bigint): this {
    return this.#mutate({ type: "sum", key, value: serialize(new KvU64(n)) });
  }

  min(key: Key, n: bigint): this {
    return this.#mutate({ type: "min", key, value: serialize(new KvU64(n)) });
  }

  max(key: Key, n: bigint): this {
    return this.#mutate({ type: "max", key, value: serialize(new KvU64(n)) });
  }

  set(key: Key, value: unknown, options?: { expireIn?: number }): this {
    return this.#mutate(set(key, value, options?.expireIn));
  }

  delete(key: Key): this {
    return this.#mutate({ type: "delete", key });
  }

  enqueue(message: unknown, options?: EnqueueOptions): this {
    ArrayPrototypePush(this.#write.enqueues, enqueue(message, options));
    return this;
  }

  async commit(): Promise<Result> {
    return await commit(this.#rid, this.#write);
  }

  then(): never {
    throw new TypeError("'Deno.AtomicOperation' is not a promise: did you forget to call 'commit()'");
  }

  #mutate(mutation: Mutation): this {
    ArrayPrototypePush(this.#write.mutations, mutation);
    return this;
  }

  [SymbolFor("Deno.privateCustomInspect")](inspect: Inspect, options: unknown): string {
    return describe(this.#write, inspect, options);
  }
}
