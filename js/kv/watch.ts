import { core, primordials } from "ext:core/mod.js";
import { op_openkv_reject_watch, op_openkv_watch, op_openkv_watch_next, op_openkv_watched } from "ext:core/ops";
import { type Entry, entriesOf, readMany } from "ext:openkv/read.ts";
import type { Key } from "ext:openkv/write.ts";

const {
  ArrayPrototypeMap,
  ArrayPrototypeSlice,
  ArrayPrototypeSome,
  ObjectPrototypeIsPrototypeOf,
} = primordials;

/** The events of `op_openkv_watch_next`: the watch has ended, or a key may have changed. Any other has the entries. */
const ENDED = 0;
const CHANGED = 1;

/** Returns a stream of the entries of keys: their present state first, then their state after each change. */
export function watch(rid: number, keys: Key[], raw: boolean): ReadableStream<Entry[]> {
  const { ReadableStream } = streams();
  const watch = op_openkv_watch(rid, keys);
  let watched: Key[];
  try {
    watched = ArrayPrototypeMap(keys, (key: Key) => ArrayPrototypeSlice(key));
  } catch (error) {
    // A getter of a key has thrown.
    core.tryClose(watch);
    throw error;
  }
  /** The versionstamps of the last entries. */
  let lastVersionstamps: (string | null)[] | undefined;

  async function next(): Promise<Entry[] | undefined> {
    // Without keys, nothing can change.
    if (watched.length === 0) return undefined;
    while (true) {
      const event = await op_openkv_watch_next(watch);
      if (event === ENDED) return undefined;
      const entries = event === CHANGED
        ? await readMany(rid, watched, false)
        : entriesOf(watched, op_openkv_watched(watch));
      const previous = lastVersionstamps;
      lastVersionstamps = ArrayPrototypeMap(entries, (entry: Entry) => entry.versionstamp);
      const changed = (entry: Entry, i: number) => entry.versionstamp !== previous?.[i];
      if (raw || previous === undefined || ArrayPrototypeSome(entries, changed)) return entries;
    }
  }

  /** The promise that the last pull waits for. */
  let pulled: Promise<Entry[] | undefined> | undefined;
  return new ReadableStream({
    async pull(controller: ReadableStreamDefaultController<Entry[]>) {
      try {
        const entries = await (pulled = next());
        if (entries !== undefined) return controller.enqueue(entries);
      } catch (error) {
        // A database that is closed between a change and its read closes the stream, too.
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
        // A read in progress finishes before the stream does.
        await pulled;
      } catch {
        // The stream is cancelled, so its error has no reader.
      }
    },
  });
}

/** Returns the streams of deno_web. Throws if the host lacks them. */
function streams() {
  try {
    return core.loadExtScript("ext:deno_web/06_streams.js");
  } catch {
    op_openkv_reject_watch();
  }
}
