/**
 * Returns the smallest part of a key that sorts after a part and all keys that continue after it, or undefined if there is none.
 */
export function successor(part: unknown): Deno.KvKeyPart | undefined {
  if (typeof part === "string") return `${part}\0`;
  if (part instanceof Uint8Array) return Uint8Array.of(...part, 0);
  if (typeof part === "bigint") return part + 1n;
  if (typeof part === "number") return nextNumber(part);
  return part === false ? true : undefined;
}

/** Returns the next number in the order of keys, in which -0 precedes 0, and NaN follows all others; after NaN comes false. */
function nextNumber(number: number): number | false {
  if (Number.isNaN(number)) return false;
  if (number === Infinity) return NaN;
  if (Object.is(number, -0)) return 0;
  const view = new DataView(new ArrayBuffer(8));
  view.setFloat64(0, number);
  // The magnitude of a negative number decreases.
  view.setBigUint64(0, view.getBigUint64(0) + (number < 0 ? -1n : 1n));
  return view.getFloat64(0);
}
