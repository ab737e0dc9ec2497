// The state of a database in a file, which the API of Deno KV does not return. It is read by the commands of `openkv db`.

import { deserialize } from "node:v8";

import { encodeOrInspect } from "./data.ts";
import type { FileInfo, Message, Queue } from "./protocol.ts";

/** The maximum number of messages of each kind. */
const MAX_MESSAGES = 50;

/** A message as `openkv db queue --json` prints it. */
interface PrintedMessage extends Omit<Message, "value"> {
  message: string;
}

/** Returns the state of a file, or null if the database is not in a file. */
export async function fileInfo(path: string): Promise<FileInfo | null> {
  return await run(path, "info") as FileInfo | null;
}

/** Returns the first messages of a file, or null if the database is not in a file. */
export async function queue(path: string): Promise<Queue | null> {
  const printed = await run(path, "queue", `--limit=${MAX_MESSAGES}`);
  if (!printed) return null;
  const { inFlight, waiting, lastVersionstamp } = printed as Record<"inFlight" | "waiting", PrintedMessage[]> & Queue;
  return { inFlight: inFlight.map(decode), waiting: waiting.map(decode), lastVersionstamp };
}

function decode({ time, message, backoffSchedule, keysIfUndelivered }: PrintedMessage): Message {
  const bytes = Uint8Array.fromBase64(message);
  let value;
  try {
    value = encodeOrInspect(deserialize(bytes));
  } catch {
    // It contains an object of the runtime, such as a Blob.
    value = { type: "opaque", value: `${bytes.length} bytes` };
  }
  return { time, value, backoffSchedule, keysIfUndelivered };
}

/** Runs a command, which prints JSON, in a process of its own. */
async function run(path: string, command: string, ...flags: string[]): Promise<unknown> {
  const isFile = await Deno.stat(path).then(({ isFile }) => isFile, () => false);
  if (!isFile) return null;
  const args = ["db", command, "--json", ...flags, "--", path];
  const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), { args, stdin: "null" }).output();
  if (!success) throw new Error(new TextDecoder().decode(stderr).trim());
  return JSON.parse(new TextDecoder().decode(stdout));
}
