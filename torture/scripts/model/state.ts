// The model of a database: calls take effect one after the other, in the order in which they are made.
import type { Check, ListOptions, Mutation, Name, Selection } from "./program.ts";

/** A stored key: a name, or one that contains the versionstamp of the step that wrote it. */
export type Key = Name | ["s", writer: number];

/** A value: a number for sums, or the mark of the mutation that set it. */
export type Value = bigint | { mark: string };

export interface Entry {
  key: Key;
  value: Value;
  /** The step that wrote it. */
  writer: number;
}

/** The result of a commit. */
export type Committed = { rejects: true } | { ok: true } | { ok: false; failed: Name[] };

/** The writers of a key: from which step on, and the step that wrote it, or null. */
type History = { since: number; writer: number | null }[];

export const text = (key: Key): string => key.join(":");

/** Orders keys as the database does. */
export function compare(a: Key, b: Key): number {
  return a[0] < b[0] ? -1 : a[0] > b[0] ? 1 : a[1] - b[1];
}

/** The entries of the key space of one handle. */
export class State {
  #entries = new Map<string, Entry>();
  #histories = new Map<string, History>();

  get(key: Key): Entry | undefined {
    return this.#entries.get(text(key));
  }

  /** Returns the writers of a key at a step and since. */
  since(key: Key, step: number): (number | null)[] {
    const history = this.#histories.get(text(key)) ?? [];
    const before = history.findLast(({ since }) => since <= step)?.writer ?? null;
    return [before, ...history.filter(({ since }) => since > step).map(({ writer }) => writer)];
  }

  /** Returns entries in the order of their keys. */
  select({ group, from, to }: Selection): Entry[] {
    const selected = [...this.#entries.values()].filter(({ key }) =>
      (group === undefined || key[0] === group) &&
      (from === undefined || compare(key, from) >= 0) &&
      (to === undefined || compare(key, to) < 0)
    );
    return selected.sort((a, b) => compare(a.key, b.key));
  }

  /** Commits if the checks succeed. `learned` are the steps whose versionstamps the checks contain. */
  commit(step: number, checks: Check[], learned: (number | undefined)[], mutations: Mutation[]): Committed {
    const holds = ({ name, absent }: Check, i: number) => this.get(name)?.writer === (absent ? undefined : learned[i]);
    const failed = checks.filter((check, i) => !holds(check, i)).map(({ name }) => name);
    if (failed.length > 0) return { ok: false, failed };
    const before = new Map(this.#entries);
    for (const [i, mutation] of mutations.entries()) {
      if (this.#mutate(step, i, mutation)) continue;
      this.#entries = before;
      return { rejects: true };
    }
    for (const key of new Set([...before.keys(), ...this.#entries.keys()])) {
      const writer = this.#entries.get(key)?.writer ?? null;
      if ((before.get(key)?.writer ?? null) !== writer) this.#record(key, step, writer);
    }
    return { ok: true };
  }

  deleteRange(step: number, selection: Selection): number {
    const selected = this.select(selection);
    for (const { key } of selected) {
      this.#entries.delete(text(key));
      this.#record(text(key), step, null);
    }
    return selected.length;
  }

  #record(key: string, since: number, writer: number | null) {
    const history = this.#histories.get(key) ?? [];
    history.push({ since, writer });
    this.#histories.set(key, history);
  }

  /** Returns false if the mutation must be rejected. */
  #mutate(step: number, i: number, mutation: Mutation): boolean {
    if (mutation.type === "delete") {
      this.#entries.delete(text(mutation.name));
      return true;
    }
    if (mutation.type === "set" || mutation.type === "stamped") {
      this.#put(mutation.type === "set" ? mutation.name : ["s", step], { mark: `${step}.${i}` }, step);
      return true;
    }
    const old = this.get(mutation.name)?.value;
    if (typeof old === "object") return false;
    this.#put(mutation.name, old === undefined ? mutation.operand : combine(mutation.type, old, mutation.operand), step);
    return true;
  }

  #put(key: Key, value: Value, writer: number) {
    this.#entries.set(text(key), { key, value, writer });
  }
}

function combine(type: "sum" | "min" | "max", old: bigint, operand: bigint): bigint {
  if (type === "sum") return BigInt.asUintN(64, old + operand);
  return (type === "min") === (old < operand) ? old : operand;
}

/** The model of a list iterator, which reads a batch when `next()` has none left. */
export class Listing {
  #state: State;
  #selection: Selection;
  #limit: number;
  #batchSize: number;
  #reverse: boolean;
  #batch: Entry[] = [];
  #last: Key | undefined;
  #count = 0;
  #isLastBatch = false;

  constructor(state: State, selection: Selection, { limit, batchSize, reverse }: ListOptions) {
    this.#state = state;
    this.#selection = selection;
    this.#limit = limit ?? Infinity;
    this.#batchSize = batchSize ?? limit ?? 100;
    this.#reverse = reverse ?? false;
  }

  next(): Entry | undefined {
    if (this.#count >= this.#limit) return undefined;
    if (this.#batch.length === 0 && !this.#isLastBatch) {
      const rest = this.#rest();
      this.#batch = rest.slice(0, this.#batchSize);
      this.#isLastBatch = this.#batch.length < this.#batchSize;
    }
    const entry = this.#batch.shift();
    this.#last = entry?.key;
    this.#count += entry === undefined ? 0 : 1;
    // A finished iterator stays finished.
    if (entry === undefined) this.#limit = 0;
    return entry;
  }

  #rest(): Entry[] {
    const entries = this.#state.select(this.#selection);
    const last = this.#last;
    if (this.#reverse) entries.reverse();
    const follows = (key: Key) => last === undefined || (this.#reverse ? compare(key, last) < 0 : compare(key, last) > 0);
    return entries.filter(({ key }) => follows(key));
  }
}
