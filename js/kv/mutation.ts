import { primordials } from "ext:core/mod.js";
import { op_openkv_list_mutations, op_openkv_mutate } from "ext:core/ops";
import { KvU64 } from "ext:openkv/u64.ts";
import { commitVersionstamp, type Key } from "ext:openkv/write.ts";

const { ArrayPrototypePush, ArrayPrototypeSlice, NumberIsInteger, ObjectPrototypeIsPrototypeOf, TypeError } = primordials;

/** Mutations, which the ops keep: those of an atomic operation, or the one of a call that is committed immediately. */
export type Mutations = { readonly mutations: unique symbol };

/** The kinds of mutations, by the numbers that the ops know. */
const SET = 0;
const SET_VERSIONSTAMPED = 1;
const DELETE = 2;
const COMBINE = { __proto__: null, sum: 3, min: 4, max: 5 };
const NAMES = ["set", "set", "delete", "sum", "min", "max"];

/** The time to live of a value that does not expire. */
const NEVER = -1;

/** Adds the mutation that stores a value. Throws for a value that cannot be stored. */
export function set(mutations: Mutations, key: Key, value: unknown, expireIn?: number): void {
  if (expireIn !== undefined && (!NumberIsInteger(expireIn) || expireIn < 0)) {
    throw new TypeError(`expireIn must be a non-negative integer: received ${expireIn}`);
  }
  const last = key?.length - 1;
  if (key?.[last] === commitVersionstamp) {
    mutate(mutations, SET_VERSIONSTAMPED, ArrayPrototypeSlice(key, 0, last), value, expireIn);
  } else {
    mutate(mutations, SET, key, value, expireIn);
  }
}

/** Adds the mutation that deletes a value. */
export function remove(mutations: Mutations, key: Key): void {
  mutate(mutations, DELETE, key);
}

/** Adds the mutation that combines a value with the one that is stored. */
export function combine(mutations: Mutations, operation: "sum" | "min" | "max", key: Key, value: unknown): void {
  mutate(mutations, COMBINE[operation], key, value);
}

function mutate(mutations: Mutations, kind: number, key: Key, value?: unknown, expireIn = NEVER): void {
  const isU64 = ObjectPrototypeIsPrototypeOf(KvU64.prototype, value);
  op_openkv_mutate(mutations, kind, key, isU64 ? (value as KvU64).value : value, isU64, expireIn);
}

/** A mutation as it was added. Its key is undefined where it is wrong. */
export interface Mutation {
  name: string;
  key?: Key;
  hasValue: boolean;
  value: unknown;
  expireIn?: number;
}

/** What was added. */
export function list(mutations: Mutations): Mutation[] {
  const elements = op_openkv_list_mutations(mutations);
  const list: Mutation[] = [];
  for (let i = 0; i < elements.length; i += 4) {
    const kind = elements[i] as number;
    const key = elements[i + 1] as unknown[] | undefined;
    const expireIn = elements[i + 3] as number | undefined;
    if (kind === SET_VERSIONSTAMPED && key !== undefined) ArrayPrototypePush(key, commitVersionstamp);
    ArrayPrototypePush(list, { name: NAMES[kind], key, hasValue: kind !== DELETE, value: elements[i + 2], expireIn });
  }
  return list;
}
