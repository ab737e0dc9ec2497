import { primordials } from "ext:core/mod.js";
import { op_openkv_add_mutations, op_openkv_mutations } from "ext:core/ops";
import { registerClasses } from "ext:openkv/classes.ts";
import { describe } from "ext:openkv/describe.ts";
import { combine, type Mutations, remove, set } from "ext:openkv/mutation.ts";
import { option } from "ext:openkv/options.ts";
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

const { ArrayPrototypeMap, ArrayPrototypePush, ObjectHasOwn, SafeArrayIterator, SymbolFor, TypeError } = primordials;

interface Mutation {
  type: string;
  key: Key;
  value?: unknown;
  expireIn?: number;
}

/** Checks, mutations and messages to commit as a whole or not at all. */
export class AtomicOperation {
  #rid: number;
  #write: Required<Write> = { checks: [], mutations: op_openkv_mutations(false), enqueues: [] };

  constructor(rid: number) {
    registerClasses();
    this.#rid = rid;
  }

  check(...checks: Check[]): this {
    const copies = ArrayPrototypeMap(checks, (check: Check) => ({
      key: check.key,
      versionstamp: option(check, "versionstamp"),
    }));
    ArrayPrototypePush(this.#write.checks, ...new SafeArrayIterator(copies));
    return this;
  }

  mutate(...mutations: Mutation[]): this {
    // Collected separately, so that none of them is added if one is invalid.
    const added = op_openkv_mutations(false);
    for (let i = 0; i < mutations.length; i++) mutate(added, mutations[i]);
    op_openkv_add_mutations(this.#write.mutations, added);
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
    set(this.#write.mutations, key, value, option(options ?? undefined, "expireIn"));
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
    if (typeof this.#rid !== "number") throw new TypeError("the operation has no database: create it with kv.atomic()");
    return await commit(this.#rid, this.#write);
  }

  then(): never {
    throw new TypeError("'Deno.AtomicOperation' is not a promise: did you forget to call 'commit()'");
  }

  [SymbolFor("Deno.privateCustomInspect")](inspect: Inspect, options: unknown): string {
    return describe(this.#write, inspect, options);
  }
}

/** Adds the mutation that an object describes. */
function mutate(mutations: Mutations, mutation: Mutation): void {
  const key = mutation.key;
  const { type } = mutation;
  const value = option(mutation, "value");
  switch (type) {
    case "delete":
      if (value) throw new TypeError("Invalid mutation 'delete' with value");
      return remove(mutations, key);
    case "set":
    case "sum":
    case "min":
    case "max": {
      if (!ObjectHasOwn(mutation, "value")) throw new TypeError(`Invalid mutation '${type}' without value`);
      if (type !== "set") return combine(mutations, type, key, value);
      const expireIn = option(mutation, "expireIn");
      return set(mutations, key, value, typeof expireIn === "number" ? expireIn : undefined);
    }
    default:
      throw new TypeError("Invalid mutation type");
  }
}
