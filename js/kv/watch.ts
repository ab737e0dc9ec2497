import { core, primordials } from "ext:core/mod.js";
import { op_openkv_refuse_watch, op_openkv_watch, op_openkv_watch_next, op_openkv_watched } from "ext:core/ops";
import { type Entry, entriesOf, readMany } from "ext:openkv/read.ts";
import type { Key } from "ext:openkv/write.ts";

const {
  ArrayPrototypeMap,
  ArrayPrototypeSlice,
  ArrayPrototypeSome,
  ObjectPrototypeIsPrototypeOf,
} = primordials;

/** What the op answers that waits: the watch has ended, or a key may have changed; else, it has the entries of the keys. */
const ENDED = 0;
const CHANGED = 1;

/** A stream of the entries of keys: as they are, and then whenever one of them changes. */
export function watch(rid: number, keys: Key[], raw: boolean): ReadableStream<Entry[]> {
  const { ReadableStream } = streams();
  const watch = op_openkv_watch(rid, keys);
  let watched: Key[];
  try {
    watched = ArrayPrototypeMap(keys, (key: Key) => ArrayPrototypeSlice(key));
  } catch (error) {
    // What the script's own code throws, where a key has some.
    core.tryClose(watch);
    throw error;
  }
  /** The versionstamps that the stream has answered. */
  let told: (string | null)[] | undefined;

  async function next(): Promise<Entry[] | undefined> {
    // Without keys there is nothing to wait for.
    if (watched.length === 0) return undefined;
    while (true) {
      const event = await op_openkv_watch_next(watch);
      if (event === ENDED) return undefined;
      const entries = event === CHANGED
        ? await readMany(rid, watched, false)
        : entriesOf(watched, op_openkv_watched(watch));
      const before = told;
      told = ArrayPrototypeMap(entries, (entry: Entry) => entry.versionstamp);
      const changed = (entry: Entry, i: number) => entry.versionstamp !== before?.[i];
      if (raw || before === undefined || ArrayPrototypeSome(entries, changed)) return entries;
    }
  }

  /** What the last pull waits for. */
  let pulled: Promise<Entry[] | undefined> | undefined;
  return new ReadableStream({
    async pull(controller: ReadableStreamDefaultController<Entry[]>) {
      try {
        const entries = await (pulled = next());
        if (entries !== undefined) return controller.enqueue(entries);
      } catch (error) {
        // A database that was closed between a change and the read of it ends the stream as any.
        if (!ObjectPrototypeIsPrototypeOf(core.BadResource.prototype, error)) {
          core.tryClose(watch);
          throw error;
        }
      }
      core.tryClose(watch);
      controller.close();
    },
    async cancel() {
      core.tryClose(watch);
      try {
        // A read that is under way is over when the stream is.
        await pulled;
      } catch {
        // Nobody is left who wants its error.
      }
    },
  });
}

/** The streams of deno_web. Throws where the host lacks them. */
function streams() {
  try {
    return core.loadExtScript("ext:deno_web/06_streams.js");
  } catch {
    op_openkv_refuse_watch();
  }
}
