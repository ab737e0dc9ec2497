import { primordials } from "ext:core/mod.js";
import { op_openkv_write } from "ext:core/ops";
import { serializeMessage } from "ext:openkv/message.ts";
import type { Mutations } from "ext:openkv/mutation.ts";
import { option } from "ext:openkv/options.ts";

const {
  ArrayPrototypeMap,
  ArrayPrototypeSlice,
  NumberIsNaN,
  ObjectDefineProperty,
  Symbol,
  TypeError,
} = primordials;

export type Key = readonly unknown[];

export interface Check {
  key: Key;
  versionstamp: string | null;
}

export interface EnqueueOptions {
  delay?: number;
  keysIfUndelivered?: Key[];
  backoffSchedule?: number[];
}

export interface Enqueue {
  message: Uint8Array;
  delay: number;
  keysIfUndelivered: Key[];
  backoffSchedule?: number[];
}

/** The checks, mutations and messages of a commit. */
export interface Write {
  checks: Check[];
  /** Undefined if there are none. */
  mutations?: Mutations;
  enqueues: Enqueue[];
}

export type Result = { ok: true; versionstamp: string } | { ok: false };

/** The placeholder for the versionstamp of the commit, as the last part of the key of a set. */
export const commitVersionstamp = Symbol("KvCommitVersionstamp");

const MAX_DELAY = 30 * 24 * 60 * 60 * 1000;
const MAX_BACKOFF_INTERVALS = 5;
const MAX_BACKOFF_INTERVAL = 60 * 60 * 1000;

/** Checks the options of a message, and serializes it. */
export function enqueue(message: unknown, options?: EnqueueOptions): Enqueue {
  const present = options ?? undefined;
  const delay = option(present, "delay");
  const backoffSchedule = option(present, "backoffSchedule");
  const keysIfUndelivered = option(present, "keysIfUndelivered");
  if (delay !== undefined) checkDelay(delay);
  if (backoffSchedule !== undefined) checkBackoffSchedule(backoffSchedule);
  return {
    message: serializeMessage(message),
    delay: delay ?? 0,
    keysIfUndelivered: keysIfUndelivered ?? [],
    backoffSchedule: backoffSchedule ?? undefined,
  };
}

/** Commits a write. If any part of it is invalid, rejects and writes nothing. */
export async function commit(rid: number, { checks, mutations, enqueues }: Write): Promise<Result> {
  const outcome: string | number[] = await op_openkv_write(rid, mutations, checks, enqueues);
  if (typeof outcome === "string") return { ok: true, versionstamp: outcome };
  // Not enumerable, so that the result looks like Deno's `{ ok: false }`.
  const failedChecks = ArrayPrototypeMap(outcome, (i: number) => ArrayPrototypeSlice(checks[i].key));
  return ObjectDefineProperty({ ok: false }, "failedChecks", { __proto__: null, value: failedChecks });
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
