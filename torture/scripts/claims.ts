// Messages whose listener ends after it claimed them. With "put", enqueues messages, and prints "put NUMBER" for each that was
// acknowledged. With "take", listens, and ends the process at one of several points: "claimed", before the first handler is called;
// "first", in the first handler; "within", while handlers run. Prints "called NUMBER" when a handler is called, and "done NUMBER"
// when it is left. Every fourth message is one that its handler never takes.
const [path, mode, ...rest] = Deno.args;
const kv = await Deno.openKv(path);

const encoder = new TextEncoder();
const say = (line: string) => Deno.stdout.writeSync(encoder.encode(`${line}\n`));
const sleep = (milliseconds: number) => new Promise((resolve) => setTimeout(resolve, milliseconds));

/** Keeps the thread: no other handler is called meanwhile. */
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

function end(way: string) {
  if (way === "kill") Deno.kill(Deno.pid, "SIGKILL");
  if (way === "exit") Deno.exit(0);
  throw new Error("planned");
}

function take(point: string, way: string) {
  let called = 0;
  const last = 1 + Math.floor(Math.random() * 12);
  kv.listenQueue(async (number: number) => {
    say(`called ${number}`);
    called++;
    if (point === "first") {
      block(50);
      // What a handler throws is no end of the process.
      if (way === "throw") queueMicrotask(() => end(way));
      else end(way);
    }
    if (point === "within" && called === last) setTimeout(() => end(way), Math.random() * 20);
    await sleep(Math.random() * 30);
    if (number % 4 === 3) throw new Error("planned");
    say(`done ${number}`);
  });
  if (point === "claimed") {
    block(200);
    end(way);
  }
}

if (mode === "put") await put(Number(rest[0]), JSON.parse(rest[1]));
else take(rest[0], rest[1]);
