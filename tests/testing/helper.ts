export function helper() {
  throw new RangeError("from the helper");
}
