import { primordials } from "ext:core/mod.js";
import { op_openkv_list_mutations, op_openkv_mutate } from "ext:core/ops";
import { KvU64 } from "ext:openkv/u64.ts";
import { commitVersionstamp, type Key } from "ext:openkv/write.ts";

const { ArrayPrototypePush, ArrayPrototypeSlice, NumberIsInteger, ObjectPrototypeIsPrototypeOf, TypeError } = primordials;

/** Mutations, held by the ops: those of an atomic operation, or the one of a call that commits immediately. */
export type Mutations = { readonly mutations: unique symbol };

/** The numbers that the ops have for the kinds of mutations. */
const SET = 0;
const SET_VERSIONSTAMPED = 1;
const DELETE = 2;
const COMBINE = { __proto__: null, sum: 3, min: 4, max: 5 };
const NAMES = ["set", "set", "delete", "sum", "min", "max"];

/** The time to live of a value that does not expire. */
const NEVER = -1;

/** Adds the mutation that stores a value. Throws if the value cannot be stored. */
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

/** Adds the mutation that combines an operand with the stored value. */
export function combine(mutations: Mutations, operation: "sum" | "min" | "max", key: Key, value: unknown): void {
  mutate(mutations, COMBINE[operation], key, value);
}

function mutate(mutations: Mutations, kind: number, key: Key, value?: unknown, expireIn = NEVER): void {
  const isU64 = ObjectPrototypeIsPrototypeOf(KvU64.prototype, value);
  op_openkv_mutate(mutations, kind, key, isU64 ? (value as KvU64).value : value, isU64, expireIn);
}

/** A mutation for inspection. Its key is undefined if it is invalid. */
export interface Mutation {
  name: string;
  key?: Key;
  hasValue: boolean;
  value: unknown;
  expireIn?: number;
}

/** Returns the mutations that were added. */
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
