// Increments a number `times` times with get, check and set, until the deadline. Retries rejected operations.
const [path, times, seconds] = Deno.args;
const end = Date.now() + Number(seconds) * 1000;
let done = 0;
let lost = 0;
let errors = 0;
let slowest = 0;

/** Retries an operation until it succeeds. Returns `undefined` after the deadline. */
async function retry<T>(operation: () => Promise<T>): Promise<T | undefined> {
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

const kv = await retry(() => Deno.openKv(path));
while (kv !== undefined && done < Number(times)) {
  const entry = await retry(() => kv.get<Deno.KvU64>(["number"]));
  if (entry === undefined) break;
  const next = new Deno.KvU64((entry.value?.value ?? 0n) + 1n);
  const result = await retry(() => kv.atomic().check(entry).set(["number"], next).commit());
  if (result === undefined) break;
  result.ok ? done++ : lost++;
}
console.log(JSON.stringify({ done, lost, errors, slowest }));
kv?.close();
