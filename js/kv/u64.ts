import { primordials } from "ext:core/mod.js";

const {
  BigIntPrototypeToString,
  Object,
  ObjectFreeze,
  RangeError,
  StringPrototypeReplace,
  SymbolFor,
  SymbolToStringTag,
  TypeError,
} = primordials;

const MAX = 0xffff_ffff_ffff_ffffn;
const CUSTOM_INSPECT = SymbolFor("Deno.privateCustomInspect");

/** A 64-bit unsigned integer: the only kind of value that sum, min and max accept. */
export class KvU64 {
  readonly value: bigint;

  constructor(value: bigint) {
    if (typeof value !== "bigint") {
      throw new TypeError(`Value must be a bigint: received ${typeof value}`);
    }
    if (value < 0n) {
      throw new RangeError(`Value must be a positive bigint: received ${value}`);
    }
    if (value > MAX) {
      throw new RangeError("Value must fit in a 64-bit unsigned integer");
    }
    this.value = value;
    ObjectFreeze(this);
  }

  valueOf(): bigint {
    return this.value;
  }

  toString(): string {
    return BigIntPrototypeToString(this.value);
  }

  get [SymbolToStringTag](): string {
    return "Deno.KvU64";
  }

  // Shown as a boxed bigint with its own name: `[Deno.KvU64: 5n]`.
  [CUSTOM_INSPECT](inspect: Inspect, options: unknown): string {
    return StringPrototypeReplace(inspect(Object(this.value), options), "BigInt", "Deno.KvU64");
  }
}

export type Inspect = (value: unknown, options: unknown) => string;
