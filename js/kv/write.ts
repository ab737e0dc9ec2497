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

/** What a commit checks and changes. */
export interface Write {
  checks: Check[];
  /** Undefined where there are none. */
  mutations?: Mutations;
  enqueues: Enqueue[];
}

export type Result = { ok: true; versionstamp: string } | { ok: false };

/** Stands for the versionstamp of the commit, as the last part of the key of a set. */
export const commitVersionstamp = Symbol("KvCommitVersionstamp");

const MAX_DELAY = 30 * 24 * 60 * 60 * 1000;
const MAX_BACKOFF_INTERVALS = 5;
const MAX_BACKOFF_INTERVAL = 60 * 60 * 1000;

/** A message for the queue. */
export function enqueue(message: unknown, options?: EnqueueOptions): Enqueue {
  const given = options ?? undefined;
  const delay = option(given, "delay");
  const backoffSchedule = option(given, "backoffSchedule");
  const keysIfUndelivered = option(given, "keysIfUndelivered");
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
export async function commit(rid: number, { checks, mutations, enqueues }: Write): Promise<Result> {
  const answer: string | number[] = await op_openkv_write(rid, mutations, checks, enqueues);
  if (typeof answer === "string") return { ok: true, versionstamp: answer };
  // Not enumerable, so that the result is the `{ ok: false }` that it is on Deno.
  const failedChecks = ArrayPrototypeMap(answer, (i: number) => ArrayPrototypeSlice(checks[i].key));
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
