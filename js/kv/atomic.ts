import { primordials } from "ext:core/mod.js";
import { op_kv_write } from "ext:core/ops";
import { KvU64 } from "ext:openkv/u64.ts";
import { serialize, serializeMessage, type Stored } from "ext:openkv/value.ts";

const {
  ArrayPrototypeMap,
  ArrayPrototypePush,
  ArrayPrototypeSlice,
  NumberIsInteger,
  NumberIsNaN,
  ObjectHasOwn,
  Symbol,
  TypeError,
} = primordials;

type Key = readonly unknown[];

interface Check {
  key: Key;
  versionstamp: string | null;
}

interface Mutation {
  type: "set" | "setVersionstamped" | "delete" | "sum" | "min" | "max";
  key: Key;
  value?: Stored;
  expireIn?: number;
}

export interface EnqueueOptions {
  delay?: number;
  keysIfUndelivered?: Key[];
  backoffSchedule?: number[];
}

interface Enqueue {
  message: Uint8Array;
  delay: number;
  keysIfUndelivered: Key[];
  backoffSchedule?: number[];
}

interface Write {
  checks: Check[];
  mutations: Mutation[];
  enqueues: Enqueue[];
}

/** Stands for the versionstamp of the commit, as the last part of the key of a set. */
export const commitVersionstamp = Symbol("KvCommitVersionstamp");

const MAX_DELAY = 30 * 24 * 60 * 60 * 1000;
const MAX_BACKOFF_INTERVALS = 5;
const MAX_BACKOFF_INTERVAL = 60 * 60 * 1000;

/** Checks, mutations and messages to commit as a whole or not at all. */
export class AtomicOperation {
  #rid: number;
  #write: Write = { checks: [], mutations: [], enqueues: [] };

  constructor(rid: number) {
    this.#rid = rid;
  }

  check(...checks: Check[]): this {
    for (let i = 0; i < checks.length; i++) {
      const { key, versionstamp } = checks[i];
      ArrayPrototypePush(this.#write.checks, { key, versionstamp });
    }
    return this;
  }

  mutate(...mutations: { type: string; key: Key; value?: unknown; expireIn?: number }[]): this {
    for (let i = 0; i < mutations.length; i++) {
      const mutation = mutations[i];
      const { key, type, value } = mutation;
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

  async commit(): Promise<{ ok: true; versionstamp: string } | { ok: false }> {
    return await commit(this.#rid, this.#write);
  }

  then(): never {
    throw new TypeError("'Deno.AtomicOperation' is not a promise: did you forget to call 'commit()'");
  }

  #mutate(mutation: Mutation): this {
    ArrayPrototypePush(this.#write.mutations, mutation);
    return this;
  }
}

/** A mutation that stores a value. */
export function set(key: Key, value: unknown, expireIn?: number): Mutation {
  if (expireIn !== undefined && (!NumberIsInteger(expireIn) || expireIn < 0)) {
    throw new TypeError(`expireIn must be a non-negative integer: received ${expireIn}`);
  }
  return { type: "set", key, value: serialize(value), expireIn };
}

/** A message for the queue. */
export function enqueue(message: unknown, options?: EnqueueOptions): Enqueue {
  const { delay, backoffSchedule, keysIfUndelivered } = options ?? { __proto__: null } as EnqueueOptions;
  if (delay !== undefined) checkDelay(delay);
  if (backoffSchedule !== undefined) checkBackoffSchedule(backoffSchedule);
  return {
    message: serializeMessage(message),
    delay: delay ?? 0,
    keysIfUndelivered: keysIfUndelivered ?? [],
    backoffSchedule: backoffSchedule ?? undefined,
  };
}

/** Commits a write. Rejects, and writes nothing, where any part of it is refused. */
export async function commit(
  rid: number,
  { checks, mutations, enqueues }: Write,
): Promise<{ ok: true; versionstamp: string } | { ok: false }> {
  const write = { checks, mutations: ArrayPrototypeMap(mutations, versionstamped), enqueues };
  const versionstamp = await op_kv_write(rid, write);
  return versionstamp === null ? { ok: false } : { ok: true, versionstamp };
}

function versionstamped(mutation: Mutation): Mutation {
  const { type, key, value, expireIn } = mutation;
  const last = key.length - 1;
  if (type !== "set" || key[last] !== commitVersionstamp) return mutation;
  return { type: "setVersionstamped", key: ArrayPrototypeSlice(key, 0, last), value, expireIn };
}

function checkDelay(delay: number): void {
  if (delay < 0) throw new TypeError(`Delay must be >= 0: received ${delay}`);
  if (delay > MAX_DELAY) throw new TypeError(`Delay cannot be greater than 30 days: received ${delay}`);
  if (NumberIsNaN(delay)) throw new TypeError("Delay cannot be NaN");
}

function checkBackoffSchedule(schedule: number[]): void {
  if (schedule.length > MAX_BACKOFF_INTERVALS) {
    throw new TypeError(`Invalid backoffSchedule, max ${MAX_BACKOFF_INTERVALS} intervals allowed`);
  }
  for (let i = 0; i < schedule.length; i++) {
    const interval = schedule[i];
    if (interval < 0 || interval > MAX_BACKOFF_INTERVAL || NumberIsNaN(interval)) {
      throw new TypeError(`Invalid backoffSchedule, interval at index ${i} is invalid`);
    }
  }
}
