// Increments a number by get, check and set, so many times, unless time is up. What is rejected is tried again.
const [path, times, seconds] = Deno.args;
const end = Date.now() + Number(seconds) * 1000;
let done = 0;
let lost = 0;
let errors = 0;
let slowest = 0;

/** Tries until it works. Undefined once time is up. */
async function insist<T>(operation: () => Promise<T>): Promise<T | undefined> {
  while (Date.now() < end) {
    const begin = performance.now();
    try {
      return await operation();
    } catch {
      errors++;
    } finally {
      slowest = Math.max(slowest, performance.now() - begin);
    }
  }
}

const kv = await insist(() => Deno.openKv(path));
while (kv !== undefined && done < Number(times)) {
  const entry = await insist(() => kv.get<Deno.KvU64>(["number"]));
  if (entry === undefined) break;
  const next = new Deno.KvU64((entry.value?.value ?? 0n) + 1n);
  const result = await insist(() => kv.atomic().check(entry).set(["number"], next).commit());
  if (result === undefined) break;
  result.ok ? done++ : lost++;
}
console.log(JSON.stringify({ done, lost, errors, slowest }));
kv?.close();
