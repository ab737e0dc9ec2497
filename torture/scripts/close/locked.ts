// Closes a database with a write in flight while another process holds the write lock. That process acquires it after "ready" was
// printed, and then sends a line. Prints the result of the write: "a ..." or "rejected ERROR".
import { say, Writer } from "./write.ts";

const [path] = Deno.args;
const writer = await Writer.open(path, "small");
await writer.use();
say("ready");
await Deno.stdin.read(new Uint8Array(1));
const settled = writer.write(1000).catch((error) => say(`rejected ${error}`));
writer.close(false);
await settled;
