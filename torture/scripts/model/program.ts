// Random programs: calls on one or two databases, as plain data that can be generated from a seed, shrunk and printed.

/** A key within the key space of a handle: a group and a number. The groups are in their sort order. */
export type Name = [group: "n" | "v", number: number];

/** A selector: of one group, or of all, from one name to another. */
export interface Selection {
  group?: "n" | "s" | "v";
  from?: Name;
  to?: Name;
}

export type Mutation =
  | { type: "set"; name: Name; fill: number; expires: boolean }
  /** Sets a key whose last part is the versionstamp of the commit. */
  | { type: "stamped" }
  | { type: "delete"; name: Name }
  | { type: "sum" | "min" | "max"; name: Name; operand: bigint };

/** A check that a key is absent, or that it still has its last known versionstamp. */
export interface Check {
  name: Name;
  absent: boolean;
}

export type Call =
  | { kind: "get"; name: Name }
  | { kind: "getMany"; names: Name[] }
  | { kind: "set"; mutation: Mutation & { type: "set" | "stamped" } }
  | { kind: "delete"; name: Name }
  | { kind: "commit"; checks: Check[]; mutations: Mutation[] }
  /** Creates an iterator, and reads its first entry. */
  | { kind: "list"; selection: Selection; options: ListOptions }
  /** Reads the next entry of the iterator of an earlier step. */
  | { kind: "next"; list: number }
  | { kind: "count"; selection: Selection }
  | { kind: "deleteRange"; selection: Selection }
  /** Watches keys, and reads the first item. */
  | { kind: "watch"; names: Name[] }
  /** Awaits the result of an earlier step. */
  | { kind: "await"; step: number };

export interface ListOptions {
  limit?: number;
  batchSize?: number;
  reverse?: boolean;
  values?: false;
}

export interface Step {
  /** Its number, by which other steps refer to it. */
  id: number;
  handle: number;
  call: Call;
  /** What the program awaits before the next call. */
  wait: "nothing" | "result" | "microtask" | "tick";
}

export interface Program {
  handles: number;
  steps: Step[];
  /** Whether the databases are closed while calls are in flight. */
  closesEarly: boolean;
}

/** A seeded generator of random numbers. */
export class Random {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  /** Returns a number from 0 to 1 (mulberry32). */
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let mixed = this.#state;
    mixed = Math.imul(mixed ^ (mixed >>> 15), mixed | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  }

  below(bound: number): number {
    return Math.floor(this.next() * bound);
  }

  chance(probability: number): boolean {
    return this.next() < probability;
  }

  pick<T>(choices: readonly T[]): T {
    return choices[this.below(choices.length)];
  }

  /** Picks a choice with a probability proportional to its weight. */
  weighted<T>(choices: readonly (readonly [weight: number, choice: T])[]): T {
    let at = this.next() * choices.reduce((sum, [weight]) => sum + weight, 0);
    for (const [weight, choice] of choices) if ((at -= weight) < 0) return choice;
    return choices[choices.length - 1][1];
  }
}

const VALUES = 5, NUMBERS = 3;

/**
 * Generates a program. With `common`, it only uses what works in Deno: without `count`, `deleteRange` and `values: false`, without
 * rejected commits, which Deno applies partially, and without writes in flight at `close()`, which Deno rejects.
 */
export function makeProgram(random: Random, handles: number, length: number, common: boolean): Program {
  const value = (): Name => ["v", random.below(VALUES)];
  const number = (): Name => ["n", random.below(NUMBERS)];
  const any = () => random.chance(0.3) ? number() : value();
  const some = <T>(make: () => T, max: number) => Array.from({ length: 1 + random.below(max) }, make);
  const set = (): Mutation & { type: "set" | "stamped" } =>
    random.chance(0.15)
      ? { type: "stamped" }
      : { type: "set", name: value(), fill: random.chance(0.1) ? random.below(20_000) : 0, expires: random.chance(0.1) };
  const combine = (): Mutation => ({
    type: random.pick(["sum", "sum", "min", "max"] as const),
    // A sum of a value that is not a number is rejected.
    name: !common && random.chance(0.1) ? value() : number(),
    operand: BigInt(random.below(100)),
  });
  const mutation = () =>
    random.weighted<() => Mutation>([[4, set], [3, combine], [2, () => ({ type: "delete", name: any() })]])();
  const selection = (): Selection => {
    const [one, other] = [any(), any()].sort((a, b) => a[0] < b[0] ? -1 : a[0] > b[0] ? 1 : a[1] - b[1]);
    return random.pick<Selection>([
      {},
      { group: random.pick(["n", "s", "v"] as const) },
      { from: one, to: other },
      { group: "v", from: value() },
      { group: "v", to: value() },
    ]);
  };
  const listOptions = (): ListOptions => ({
    ...(random.chance(0.4) && { limit: 1 + random.below(4) }),
    ...(random.chance(0.5) && { batchSize: 1 + random.below(3) }),
    ...(random.chance(0.3) && { reverse: true }),
    ...(!common && random.chance(0.2) && { values: false as const }),
  });

  const steps: Step[] = [];
  const lists: number[] = [];
  for (let id = 0; id < length; id++) {
    const kinds: [number, () => Call][] = [
      [6, () => ({ kind: "get", name: any() })],
      [3, () => ({ kind: "getMany", names: some(any, 4) })],
      [6, () => ({ kind: "set", mutation: set() })],
      [3, () => ({ kind: "delete", name: any() })],
      [6, () => ({
        kind: "commit",
        checks: random.chance(0.5) ? some(() => ({ name: any(), absent: random.chance(0.3) }), 2) : [],
        mutations: some(mutation, 3),
      })],
      [3, () => ({ kind: "list", selection: selection(), options: listOptions() })],
      [lists.length > 0 ? 4 : 0, () => ({ kind: "next", list: random.pick(lists) })],
      [1, () => ({ kind: "watch", names: some(any, 3) })],
      [id > 0 ? 2 : 0, () => ({ kind: "await", step: random.below(id) })],
      [common ? 0 : 2, () => ({ kind: "count", selection: selection() })],
      [common ? 0 : 1, () => ({ kind: "deleteRange", selection: selection() })],
    ];
    const call = random.weighted(kinds)();
    if (call.kind === "list") lists.push(id);
    const wait = random.weighted<Step["wait"]>([[60, "nothing"], [25, "result"], [8, "microtask"], [7, "tick"]]);
    steps.push({ id, handle: random.below(handles), call, wait });
  }
  return { handles, steps, closesEarly: !common && random.chance(0.3) };
}

/** Formats a step. */
export function show(step: Step): string {
  const { id, handle, call, wait } = step;
  const json = (value: unknown) => JSON.stringify(value, (_, part) => typeof part === "bigint" ? `${part}n` : part);
  const formatted = () => {
    const { kind, ...rest } = call;
    if (kind === "next") return `list of step ${call.list}: next()`;
    if (kind === "await") return `await step ${call.step}`;
    return `kv${handle}.${kind}(${json(rest)})`;
  };
  const after = { nothing: "", result: ", awaited", microtask: ", then a microtask", tick: ", then a timer" }[wait];
  return `step ${id}: ${formatted()}${after}`;
}
