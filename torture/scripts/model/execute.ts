// Executes a program, and compares every result with that of the model.
import type { Mutation, Name, Program, Selection, Step } from "./program.ts";
import { type Committed, type Entry, type Key, Listing, State, text } from "./state.ts";

/** The first wrong result. */
export interface Mismatch {
  step: number;
  /** The kind of the call. */
  kind: string;
  wrong: string;
}

/** Opens the databases of a program. */
export type Open = () => Promise<Deno.Kv[]>;

/** The timeout of a call, in milliseconds. */
const TIMEOUT = 10_000;

/** The outcome of a call. */
type Outcome = { value: unknown } | { error: unknown };

/** A call, from its start on. */
interface Started {
  step: Step;
  settled: Promise<Outcome>;
  /** Set once it is settled. */
  outcome?: Outcome;
  /** Describes the mistake in a wrong outcome. */
  judge: (outcome: Outcome) => string | undefined;
  /** Whether it writes, and so must succeed even if the database is closed. */
  writes: boolean;
}

/** Executes a program. `reopen` is whether the databases persist. */
export async function execute(program: Program, open: Open, reopen: boolean): Promise<Mismatch | undefined> {
  const kvs = await open();
  const execution = new Execution(kvs);
  for (const step of program.steps) await execution.do(step);
  const close = () => kvs.forEach((kv) => kv.close());
  if (program.closesEarly) {
    close();
    const wrong = await execution.judge(true);
    if (wrong !== undefined || !reopen) return wrong;
  } else {
    const wrong = await execution.judge(false) ?? await execution.judgeEnd(kvs, "the end");
    close();
    if (wrong !== undefined || !reopen) return wrong;
  }
  const again = await open();
  const wrong = await execution.judgeEnd(again, "the end, after opening the file again");
  again.forEach((kv) => kv.close());
  return wrong;
}

class Execution {
  #kvs: Deno.Kv[];
  #states: State[];
  #started = new Map<number, Started>();
  #listings = new Map<number, { handle: number; iterator: Deno.KvListIterator<unknown>; model: Listing; last: number }>();
  /** The versionstamps of writes, by their step. */
  #stamps = new Map<number, string>();
  /** The versionstamps that the program knows from awaiting a write, by handle and key, with the step of the write. */
  #learned = new Map<string, { writer: number; stamp: string }>();
  #readers: ReadableStreamDefaultReader[] = [];

  constructor(kvs: Deno.Kv[]) {
    this.#kvs = kvs;
    this.#states = kvs.map(() => new State());
  }

  /** Starts the call of a step, and waits as it specifies. */
  async do(step: Step) {
    const { call } = step;
    if (call.kind === "await") return void await this.#await(call.step);
    if (call.kind === "next") {
      // The calls of one iterator are sequential.
      const listing = this.#listings.get(call.list);
      if (listing === undefined) return;
      await this.#await(listing.last);
      listing.last = step.id;
    }
    this.#start(step);
    if (step.wait === "result") await this.#await(step.id);
    if (step.wait === "microtask") await Promise.resolve();
    if (step.wait === "tick") await new Promise((resolve) => setTimeout(resolve));
  }

  /** Waits for all calls, and compares their outcomes. Skips reads that failed because the database was closed. */
  async judge(isClosed: boolean): Promise<Mismatch | undefined> {
    const started = [...this.#started.values()];
    for (const { settled } of started) await settled;
    for (const { step, outcome } of started) this.#record(step, outcome!);
    for (const { step, outcome, judge, writes } of started) {
      const wasClosed = "error" in outcome! || (outcome!.value as { done?: boolean } | undefined)?.done === true;
      if (isClosed && !writes && wasClosed) continue;
      const wrong = judge(outcome!);
      if (wrong !== undefined) return { step: step.id, kind: step.call.kind, wrong };
    }
    return this.#judgeStamps(started);
  }

  /** Compares the content of the databases. */
  async judgeEnd(kvs: Deno.Kv[], when: string): Promise<Mismatch | undefined> {
    for (const [handle, kv] of kvs.entries()) {
      const expected = this.#states[handle].select({});
      const found = await Array.fromAsync(kv.list({ prefix: [handle] }));
      const wrong = found.length !== expected.length
        ? `${found.length} entries instead of ${expected.length}`
        : found.map((entry, i) => this.#differs(handle, entry, expected[i].key, expected[i])).find((wrong) => wrong);
      if (wrong !== undefined) return { step: Infinity, kind: when, wrong: `of handle ${handle}: ${wrong}` };
    }
  }

  async #await(id: number) {
    const started = this.#started.get(id);
    if (started === undefined) return;
    this.#record(started.step, await started.settled);
    const { call, handle } = started.step;
    const stamp = this.#stamps.get(id);
    if (stamp === undefined) return;
    for (const name of written(call.kind === "set" ? [call.mutation] : call.kind === "commit" ? call.mutations : [])) {
      const learned = this.#learned.get(`${handle}:${text(name)}`);
      if (learned === undefined || learned.writer < id) {
        this.#learned.set(`${handle}:${text(name)}`, { writer: id, stamp });
      }
    }
  }

  /** Records the versionstamp of a write. */
  #record(step: Step, outcome: Outcome) {
    const value = "value" in outcome ? outcome.value as { ok?: boolean; versionstamp?: string } | undefined : undefined;
    const writes = step.call.kind === "set" || step.call.kind === "commit";
    if (writes && value?.ok === true) this.#stamps.set(step.id, value.versionstamp!);
  }

  #start(step: Step) {
    const { id, call } = step;
    // An iterator belongs to the handle that created it.
    const handle = call.kind === "next" ? this.#listings.get(call.list)!.handle : step.handle;
    const kv = this.#kvs[handle], state = this.#states[handle];
    const key = (name: Name) => [handle, ...name];
    const selector = (selection: Selection) => toSelector(handle, selection);
    const entries = (names: Name[]) => {
      const expected = names.map((name) => state.get(name));
      return (found: Deno.KvEntryMaybe<unknown>[]) =>
        found.map((entry, i) => this.#differs(handle, entry, names[i], expected[i])).find((wrong) => wrong);
    };
    const record = <T>(promise: Promise<T>, judge: (value: T) => string | undefined, rejects = false, writes = false) => {
      const judgeOutcome = (outcome: Outcome) => {
        if ("value" in outcome) return rejects ? `did not reject: ${Deno.inspect(outcome.value)}` : judge(outcome.value as T);
        const isExpected = rejects && outcome.error instanceof TypeError;
        return isExpected ? undefined : `rejected: ${outcome.error}`;
      };
      const started: Started = { step, settled: settled(promise), judge: judgeOutcome, writes };
      started.settled.then((outcome) => started.outcome = outcome);
      this.#started.set(id, started);
    };
    const next = (iterator: Deno.KvListIterator<unknown>, model: Listing, hasValues: boolean) => {
      const expected = model.next();
      record(iterator.next(), (found) => {
        if (found.done || expected === undefined) {
          return found.done === (expected === undefined) ? undefined : expected ? "ended" : "did not end";
        }
        return this.#differs(handle, found.value, expected.key, expected, hasValues);
      });
    };

    switch (call.kind) {
      case "get": {
        const judge = entries([call.name]);
        return record(kv.get(key(call.name)), (found) => judge([found]));
      }
      case "getMany":
        return record(kv.getMany(call.names.map(key)), entries(call.names));
      case "set": {
        state.commit(id, [], [], [call.mutation]);
        const set = toSet(kv, handle, id, 0, call.mutation);
        return record(kv.set(...set), ({ ok }) => ok ? undefined : "not ok", false, true);
      }
      case "delete": {
        state.commit(id, [], [], [{ type: "delete", name: call.name }]);
        const judge = (value: unknown) => value === undefined ? undefined : `returned ${value}`;
        return record(kv.delete(key(call.name)), judge, false, true);
      }
      case "commit": {
        const atomic = kv.atomic();
        const learned = call.checks.map(({ name }) => this.#learned.get(`${handle}:${text(name)}`));
        // Without a known versionstamp, a check requires absence.
        const checks = call.checks.map(({ name, absent }, i) => ({ name, absent: absent || learned[i] === undefined }));
        for (const [i, { name, absent }] of checks.entries()) {
          atomic.check({ key: key(name), versionstamp: absent ? null : learned[i]!.stamp });
        }
        for (const [i, mutation] of call.mutations.entries()) mutate(atomic, kv, handle, id, i, mutation);
        const expected = state.commit(id, checks, learned.map((learned) => learned?.writer), call.mutations);
        return record(atomic.commit(), (found) => judgeCommit(handle, found, expected), "rejects" in expected, true);
      }
      case "list": {
        const iterator = kv.list(selector(call.selection), call.options);
        const model = new Listing(state, call.selection, call.options);
        this.#listings.set(id, { handle, iterator, model, last: id });
        return next(iterator, model, call.options.values ?? true);
      }
      case "next": {
        const { iterator, model } = this.#listings.get(call.list)!;
        const list = this.#started.get(call.list)!.step.call;
        return next(iterator, model, list.kind !== "list" || (list.options.values ?? true));
      }
      case "count": {
        const expected = state.select(call.selection).length;
        return record(kv.count(selector(call.selection)), (found) => number(found, expected));
      }
      case "deleteRange": {
        const expected = state.deleteRange(id, call.selection);
        return record(kv.deleteRange(selector(call.selection)), (found) => number(found, expected), false, true);
      }
      case "watch": {
        const reader = kv.watch(call.names.map(key)).getReader();
        this.#readers.push(reader);
        // A stream may skip overwritten values: its item may be newer than the call, but never older.
        const judge = (entry: Deno.KvEntryMaybe<unknown>, i: number) => {
          const stamps = state.since(call.names[i], id).map((writer) => writer === null ? null : this.#stamps.get(writer));
          const isKnown = stamps.includes(entry.versionstamp);
          return isKnown ? undefined : `${call.names[i]} has ${entry.versionstamp}, not one of ${stamps}`;
        };
        return record(first(reader), (found) => found.done ? "ended" : found.value.map(judge).find((wrong) => wrong));
      }
    }
  }

  /** Describes how an entry differs from the expected one. */
  #differs(handle: number, found: Deno.KvEntryMaybe<unknown>, name: Key, expected?: Entry, hasValues = true) {
    const stamp = expected === undefined ? null : this.#stamps.get(expected.writer);
    const key = [handle, name[0], name[0] === "s" ? this.#stamps.get(name[1]) : name[1]];
    const value = !hasValues ? undefined : expected === undefined ? null : expected.value;
    const isSame = String(found.key) === String(key) && found.versionstamp === stamp && shown(found.value) === shown(value);
    if (isSame) return undefined;
    const all = (key: unknown, value: unknown, stamp: unknown) => `${key} = ${shown(value)} at ${stamp}`;
    return `${all(found.key, found.value, found.versionstamp)} instead of ${all(key, value, stamp)}`;
  }

  /** Checks that versionstamps increase with the writes of a handle. */
  #judgeStamps(started: Started[]): Mismatch | undefined {
    for (const handle of this.#kvs.keys()) {
      let last = "";
      for (const { step } of started) {
        const stamp = step.handle === handle ? this.#stamps.get(step.id) : undefined;
        if (stamp === undefined) continue;
        if (stamp <= last) return { step: step.id, kind: "versionstamp", wrong: `${stamp} after ${last}` };
        last = stamp;
      }
    }
  }
}

/** Reads the first item of a stream, and cancels the stream. */
async function first<T>(reader: ReadableStreamDefaultReader<T>): Promise<ReadableStreamReadResult<T>> {
  const item = await reader.read();
  reader.cancel().catch(() => {});
  return item;
}

async function settled(promise: Promise<unknown>): Promise<Outcome> {
  const timeout = Promise.withResolvers<never>();
  const timer = setTimeout(() => timeout.reject(new Error("timed out")), TIMEOUT);
  try {
    return { value: await Promise.race([promise, timeout.promise]) };
  } catch (error) {
    return { error };
  } finally {
    clearTimeout(timer);
  }
}

/** Formats a value. Equal values that were read and expected have the same format. */
function shown(value: unknown): string {
  if (value instanceof Deno.KvU64) return `${value.value}n`;
  if (typeof value === "bigint") return `${value}n`;
  if (typeof value === "object" && value !== null && "mark" in value) return `#${value.mark}`;
  return String(value);
}

function number(found: number, expected: number): string | undefined {
  return found === expected ? undefined : `${found} instead of ${expected}`;
}

function judgeCommit(handle: number, found: Deno.KvCommitResult | Deno.KvCommitError, expected: Committed) {
  if ("rejects" in expected) return undefined;
  if (found.ok !== expected.ok) return `ok: ${found.ok}`;
  if (expected.ok || !("failedChecks" in found)) return undefined;
  const failed = JSON.stringify(expected.failed.map((name) => [handle, ...name]));
  const returned = JSON.stringify(found.failedChecks);
  return returned === failed ? undefined : `failedChecks are ${returned} instead of ${failed}`;
}

/** Returns the names that mutations set or combine. */
function written(mutations: Mutation[]): Name[] {
  return mutations.flatMap((mutation) => mutation.type === "stamped" || mutation.type === "delete" ? [] : [mutation.name]);
}

function toSet(kv: Deno.Kv, handle: number, step: number, i: number, mutation: Mutation & { type: "set" | "stamped" }) {
  const isNamed = mutation.type === "set";
  const key = isNamed ? [handle, ...mutation.name] : [handle, "s", kv.commitVersionstamp()];
  const value = { mark: `${step}.${i}`, fill: "x".repeat(isNamed ? mutation.fill : 0) };
  const options = isNamed && mutation.expires ? { expireIn: 3_600_000 } : undefined;
  return [key as Deno.KvKey, value, options] as const;
}

function mutate(atomic: Deno.AtomicOperation, kv: Deno.Kv, handle: number, step: number, i: number, mutation: Mutation) {
  if (mutation.type === "set" || mutation.type === "stamped") {
    atomic.set(...toSet(kv, handle, step, i, mutation));
  } else if (mutation.type === "delete") {
    atomic.delete([handle, ...mutation.name]);
  } else {
    atomic[mutation.type]([handle, ...mutation.name], mutation.operand);
  }
}

function toSelector(handle: number, { group, from, to }: Selection): Deno.KvListSelector {
  const start = from && [handle, ...from], end = to && [handle, ...to];
  if (start && end && group === undefined) return { start, end };
  const prefix = group === undefined ? [handle] : [handle, group];
  return start ? { prefix, start } : end ? { prefix, end } : { prefix };
}
