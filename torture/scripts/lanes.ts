// Writes in lanes, as described in `torture/src/ledger.rs`, until the process is killed. Prints a line for each acknowledged step
// ("a LANE NUMBER VERSIONSTAMP"), for each delivered message ("d MESSAGE"), and for each message that was finished before an
// acknowledged write started ("f MESSAGE").
const [path, first, count] = Deno.args;
const kv = await open();

/** The finished messages that are not yet printed. */
const finished: string[] = [];

kv.listenQueue((message: string) => {
  console.log(`d ${message}`);
  // The message is finished when this function returns. The timer fires after that.
  setTimeout(() => finished.push(message));
});

/** Opens the database. On a server, it is tried again: the connection may break. */
async function open(): Promise<Deno.Kv> {
  while (true) {
    try {
      return await Deno.openKv(path);
    } catch (error) {
      if (!path.startsWith("http://")) throw error;
    }
  }
}

async function work(lane: number): Promise<void> {
  let { value, versionstamp } = await kv.get<Deno.KvU64>(["lane", lane]);
  for (let number = Number(value?.value ?? 0n) + 1;; number++) {
    const u64 = new Deno.KvU64(BigInt(number));
    const atomic = kv.atomic()
      .check({ key: ["lane", lane], versionstamp })
      .set(["lane", lane], u64)
      .set(["filler", lane, number % 8], new Uint8Array(number * 997 % 6000).fill(number))
      .set(["log", lane, number % 16], u64)
      .delete(["tick", lane, number - 1])
      .set(["tick", lane, number], u64)
      .sum(["total"], 1n);
    if (number % 4 === 0) atomic.enqueue(`${lane}:${number}`);
    const before = finished.splice(0);
    const result = await atomic.commit();
    if (!result.ok) throw new Error(`lane ${lane} lost a race without a concurrent writer`);
    versionstamp = result.versionstamp;
    console.log(`a ${lane} ${number} ${versionstamp}`);
    for (const message of before) console.log(`f ${message}`);
    if (number % 5 === 0) await poison(lane, number);
  }
}

/** Commits a write that must be rejected, because it sums bytes. */
async function poison(lane: number, number: number): Promise<void> {
  const atomic = kv.atomic().set(["poison", lane], number).sum(["filler", lane, number % 8], 1n);
  const rejected = await atomic.commit().then(() => false, () => true);
  if (!rejected) throw new Error("a sum of bytes was accepted");
}

await Promise.all(Array.from({ length: Number(count) }, (_, i) => work(Number(first) + i)));
// Without lanes, the process only handles messages.
await new Promise(() => setInterval(() => {}, 1000));
