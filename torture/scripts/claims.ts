// Messages whose listener terminates after it has claimed them. With "put", enqueues messages, and prints "put NUMBER" for each
// acknowledged one. With "take", listens, and terminates the process at one of several points: "claimed", before the first handler is
// called; "first", in the first handler; "within", while handlers run. Prints "called NUMBER" when a handler is called, and
// "done NUMBER" when it returns. The handler always throws for every fourth message.
const [path, mode, ...rest] = Deno.args;
const kv = await Deno.openKv(path);

const encoder = new TextEncoder();
const say = (line: string) => Deno.stdout.writeSync(encoder.encode(`${line}\n`));
const sleep = (milliseconds: number) => new Promise((resolve) => setTimeout(resolve, milliseconds));

/** Blocks the event loop, so that no other handler is called. */
function block(milliseconds: number) {
  const end = performance.now() + milliseconds;
  while (performance.now() < end);
}

async function put(count: number, backoffSchedule: number[] | null) {
  for (let i = 0; i < count; i++) {
    const schedule = backoffSchedule === null ? {} : { backoffSchedule };
    await kv.enqueue(i, { ...schedule, keysIfUndelivered: [["undelivered", i]] });
    say(`put ${i}`);
  }
  kv.close();
}

function terminate(how: string) {
  if (how === "kill") Deno.kill(Deno.pid, "SIGKILL");
  if (how === "exit") Deno.exit(0);
  throw new Error("planned");
}

function take(point: string, how: string) {
  let called = 0;
  const last = 1 + Math.floor(Math.random() * 12);
  kv.listenQueue(async (number: number) => {
    say(`called ${number}`);
    called++;
    if (point === "first") {
      block(50);
      // An exception of the handler itself would not terminate the process.
      if (how === "throw") queueMicrotask(() => terminate(how));
      else terminate(how);
    }
    if (point === "within" && called === last) setTimeout(() => terminate(how), Math.random() * 20);
    await sleep(Math.random() * 30);
    if (number % 4 === 3) throw new Error("planned");
    say(`done ${number}`);
  });
  if (point === "claimed") {
    block(200);
    terminate(how);
  }
}

if (mode === "put") await put(Number(rest[0]), JSON.parse(rest[1]));
else take(rest[0], rest[1]);
