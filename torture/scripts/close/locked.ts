// Closes a database with a write in flight while another process holds the write lock, which it does once a line was printed, and
// until a line was read. Prints what became of the write: "a ..." or "rejected ERROR".
import { say, Writer } from "./write.ts";

const [path] = Deno.args;
const writer = await Writer.open(path, "small");
await writer.use();
say("ready");
await Deno.stdin.read(new Uint8Array(1));
const answer = writer.write(1000).catch((error) => say(`rejected ${error}`));
writer.close(false);
await answer;
