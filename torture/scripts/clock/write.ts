// Executes the commands of its input: "go" and "pause" start and stop writing messages and changes, for which it prints
// "enqueued NUMBER" and "written NUMBER"; "slow" enqueues a message with a slow handler; "expire NAME MILLISECONDS" writes an
// expiring entry.
import { say, sleep } from "./say.ts";

const [path] = Deno.args;
const kv = await Deno.openKv(path);
const INTERVAL = 50;

let isWriting = false;
let writing = Promise.resolve();
let number = 0;

async function write() {
  while (isWriting) {
    await kv.enqueue(number);
    say(`enqueued ${number}`);
    await kv.set(["written"], number);
    say(`written ${number}`);
    number++;
    await sleep(INTERVAL);
  }
}

async function execute(line: string) {
  const [word, name, milliseconds] = line.split(" ");
  switch (word) {
    case "go":
      isWriting = true;
      writing = write();
      break;
    case "pause":
      isWriting = false;
      await writing;
      break;
    case "slow":
      await kv.enqueue("slow");
      break;
    case "expire":
      await kv.set(["expiring", name], 1, { expireIn: Number(milliseconds) });
      break;
  }
  say(`done ${word}`);
}

say("ready");
let rest = "";
for await (const text of Deno.stdin.readable.pipeThrough(new TextDecoderStream())) {
  const lines = (rest + text).split("\n");
  rest = lines.pop()!;
  for (const line of lines) await execute(line);
}
