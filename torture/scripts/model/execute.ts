// Executes a program, and compares every answer with that of the model.
import type { Mutation, Name, Program, Selection, Step } from "./program.ts";
import { type Committed, type Entry, type Key, Listing, State, text } from "./state.ts";

/** The first answer that is wrong. */
export interface Mismatch {
  step: number;
  /** What was asked for. */
  kind: string;
  wrong: string;
}

/** Opens the databases of a program, each with a key space of its own. */
export type Open = () => Promise<Deno.Kv[]>;

/** How long a call may go without an answer, in milliseconds. */
const TIMEOUT = 10_000;

/** What a call was answered. */
type Answer = { value: unknown } | { error: unknown };

/** A call that was made. */
interface Made {
  step: Step;
  answer: Promise<Answer>;
  /** Set once there is one. */
  answered?: Answer;
  /** Says what is wrong with the answer, if anything is. */
  judge: (answer: Answer) => string | undefined;
  /** Whether it wrote, and so has to be answered though the database is closed. */
  writes: boolean;
}

/** Executes a program. `reopen` is for databases that keep what they hold when they are closed. */
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
  #made = new Map<number, Made>();
  #listings = new Map<number, { handle: number; iterator: Deno.KvListIterator<unknown>; model: Listing; last: number }>();
  /** The versionstamps that writes got, by their step. */
  #stamps = new Map<number, string>();
  /** The versionstamps that the program learned by awaiting a write, by handle and key, with the step of the write. */
  #learned = new Map<string, { writer: number; stamp: string }>();
  #readers: ReadableStreamDefaultReader[] = [];

  constructor(kvs: Deno.Kv[]) {
    this.#kvs = kvs;
    this.#states = kvs.map(() => new State());
  }

  /** Makes the call of a step, and waits as it says. */
  async do(step: Step) {
    const { call } = step;
    if (call.kind === "await") return void await this.#await(call.step);
    if (call.kind === "next") {
      // One iterator is asked for one entry after the other.
      const listing = this.#listings.get(call.list);
      if (listing === undefined) return;
      await this.#await(listing.last);
      listing.last = step.id;
    }
    this.#make(step);
    if (step.wait === "answer") await this.#await(step.id);
    if (step.wait === "microtask") await Promise.resolve();
    if (step.wait === "turn") await new Promise((resolve) => setTimeout(resolve));
  }

  /** Compares all answers, once they are there. Reads that a closed database did not answer are left out. */
  async judge(isClosed: boolean): Promise<Mismatch | undefined> {
    const made = [...this.#made.values()];
    for (const { answer } of made) await answer;
    for (const { step, answered } of made) this.#note(step, answered!);
    for (const { step, answered, judge, writes } of made) {
      const wasClosed = "error" in answered! || (answered!.value as { done?: boolean } | undefined)?.done === true;
      if (isClosed && !writes && wasClosed) continue;
      const wrong = judge(answered!);
      if (wrong !== undefined) return { step: step.id, kind: step.call.kind, wrong };
    }
    return this.#judgeStamps(made);
  }

  /** Compares all that the databases hold. */
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
    const made = this.#made.get(id);
    if (made === undefined) return;
    const answer = await made.answer;
    this.#note(made.step, answer);
    const { call, handle } = made.step;
    const stamp = this.#stamps.get(id);
    if (stamp === undefined) return;
    for (const name of written(call.kind === "set" ? [call.mutation] : call.kind === "commit" ? call.mutations : [])) {
      const learned = this.#learned.get(`${handle}:${text(name)}`);
      if (learned === undefined || learned.writer < id) {
        this.#learned.set(`${handle}:${text(name)}`, { writer: id, stamp });
      }
    }
  }

  /** Notes the versionstamp of a write. */
  #note(step: Step, answer: Answer) {
    const value = "value" in answer ? answer.value as { ok?: boolean; versionstamp?: string } | undefined : undefined;
    const writes = step.call.kind === "set" || step.call.kind === "commit";
    if (writes && value?.ok === true) this.#stamps.set(step.id, value.versionstamp!);
  }

  #make(step: Step) {
    const { id, call } = step;
    // An iterator belongs to the handle that made it.
    const handle = call.kind === "next" ? this.#listings.get(call.list)!.handle : step.handle;
    const kv = this.#kvs[handle], state = this.#states[handle];
    const key = (name: Name) => [handle, ...name];
    const selector = (selection: Selection) => toSelector(handle, selection);
    const entries = (names: Name[]) => {
      const expected = names.map((name) => state.get(name));
      return (found: Deno.KvEntryMaybe<unknown>[]) =>
        found.map((entry, i) => this.#differs(handle, entry, names[i], expected[i])).find((wrong) => wrong);
    };
    const record = <T>(answer: Promise<T>, judge: (value: T) => string | undefined, rejects = false, writes = false) => {
      const judgeAnswer = (answer: Answer) => {
        if ("value" in answer) return rejects ? `did not reject: ${Deno.inspect(answer.value)}` : judge(answer.value as T);
        const isExpected = rejects && answer.error instanceof TypeError;
        return isExpected ? undefined : `rejected: ${answer.error}`;
      };
      const made: Made = { step, answer: settled(answer), judge: judgeAnswer, writes };
      made.answer.then((answer) => made.answered = answer);
      this.#made.set(id, made);
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
        const judge = (value: unknown) => value === undefined ? undefined : `answered ${value}`;
        return record(kv.delete(key(call.name)), judge, false, true);
      }
      case "commit": {
        const atomic = kv.atomic();
        const learned = call.checks.map(({ name }) => this.#learned.get(`${handle}:${text(name)}`));
        // Without a versionstamp to name, a check asks for absence.
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
        const list = this.#made.get(call.list)!.step.call;
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
        // A stream may skip what was overwritten before it was read, and so may be newer than its call, but never older.
        const judge = (entry: Deno.KvEntryMaybe<unknown>, i: number) => {
          const stamps = state.since(call.names[i], id).map((writer) => writer === null ? null : this.#stamps.get(writer));
          const isKnown = stamps.includes(entry.versionstamp);
          return isKnown ? undefined : `${call.names[i]} has ${entry.versionstamp}, not one of ${stamps}`;
        };
        return record(first(reader), (found) => found.done ? "ended" : found.value.map(judge).find((wrong) => wrong));
      }
    }
  }

  /** Says how an entry differs from the one that is expected. */
  #differs(handle: number, found: Deno.KvEntryMaybe<unknown>, name: Key, expected?: Entry, hasValues = true) {
    const stamp = expected === undefined ? null : this.#stamps.get(expected.writer);
    const key = [handle, name[0], name[0] === "s" ? this.#stamps.get(name[1]) : name[1]];
    const value = !hasValues ? undefined : expected === undefined ? null : expected.value;
    const isSame = String(found.key) === String(key) && found.versionstamp === stamp && shown(found.value) === shown(value);
    if (isSame) return undefined;
    const all = (key: unknown, value: unknown, stamp: unknown) => `${key} = ${shown(value)} at ${stamp}`;
    return `${all(found.key, found.value, found.versionstamp)} instead of ${all(key, value, stamp)}`;
  }

  /** Versionstamps grow with the writes of a handle. */
  #judgeStamps(made: Made[]): Mismatch | undefined {
    for (const handle of this.#kvs.keys()) {
      let last = "";
      for (const { step } of made) {
        const stamp = step.handle === handle ? this.#stamps.get(step.id) : undefined;
        if (stamp === undefined) continue;
        if (stamp <= last) return { step: step.id, kind: "versionstamp", wrong: `${stamp} after ${last}` };
        last = stamp;
      }
    }
  }
}

/** Reads the first item of a stream, and then ends it. */
async function first<T>(reader: ReadableStreamDefaultReader<T>): Promise<ReadableStreamReadResult<T>> {
  const item = await reader.read();
  reader.cancel().catch(() => {});
  return item;
}

async function settled(answer: Promise<unknown>): Promise<Answer> {
  const late = Promise.withResolvers<never>();
  const timer = setTimeout(() => late.reject(new Error("no answer")), TIMEOUT);
  try {
    return { value: await Promise.race([answer, late.promise]) };
  } catch (error) {
    return { error };
  } finally {
    clearTimeout(timer);
  }
}

/** Shows a value as read or as expected, in the same way where they are the same. */
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
  const answered = JSON.stringify(found.failedChecks);
  return answered === failed ? undefined : `failedChecks are ${answered} instead of ${failed}`;
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
