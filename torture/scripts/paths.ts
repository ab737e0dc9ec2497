// Opens databases in a directory that it may use, and meanwhile puts a link to a place that is denied to it where the database, its
// directory or its WAL is. After each time it prints how often it tried and opened a database, and how often it read a denied one, as
// JSON.
const [directory, variant, seconds] = Deno.args;

const sleep = (milliseconds: number) => new Promise((resolve) => setTimeout(resolve, milliseconds));
const counts = { tries: 0, opened: 0, read: 0, swaps: 0 };

/** What is swapped for a link, by the variant. */
const targets: Record<string, string> = {
  directory: "p/d",
  parent: "p",
  file: "p/d/x.db",
  wal: "p/d/x.db-wal",
  shm: "p/d/x.db-shm",
};
const target = `${directory}/${targets[variant]}`;
const aside = `${directory}/aside`;
/** Which of the links is the next, all of which lead to the same place. One that is in the place of a WAL is removed on closing. */
let link = 0;

function attempt(operation: () => void): boolean {
  try {
    operation();
    return true;
  } catch {
    return false;
  }
}

/** Puts a link in place, and what was there aside. Returns a function that puts both back. */
function swap(): () => void {
  const from = `${directory}/link-${link}`;
  const hadTarget = attempt(() => Deno.renameSync(target, aside));
  const isSwapped = attempt(() => Deno.renameSync(from, target));
  if (isSwapped) counts.swaps++;
  return () => {
    if (isSwapped && !attempt(() => Deno.renameSync(target, from))) link++;
    if (hadTarget) attempt(() => Deno.renameSync(aside, target));
  };
}

function block(turns: number) {
  for (let i = 0; i < turns; i++) performance.now();
}

/** Reads and writes. What is read or written in a denied database is found there. */
async function use(kv: Deno.Kv) {
  try {
    if ((await kv.get(["secret", 0])).value !== null) counts.read++;
    await kv.set(["changed"], counts.tries);
  } catch {
    // A database whose files are gone may fail in any way.
  }
}

async function round(path: string) {
  const moment = ["opening", "using", "closing"][counts.tries++ % 3];
  const opening = Deno.openKv(path);
  let back: (() => void) | undefined;
  if (moment === "opening") {
    block(Math.random() * 3000);
    back = swap();
  }
  let kv: Deno.Kv;
  try {
    kv = await opening;
  } catch {
    return back?.();
  }
  counts.opened++;
  if (moment === "using") back = swap();
  if (moment === "opening" && Math.random() < 0.5) back = void back!();
  await use(kv);
  if (moment === "closing") back = swap();
  kv.close();
  // Closing goes on in the background, if it does.
  await sleep(counts.tries % 2 * 3);
  back?.();
}

const end = performance.now() + Number(seconds) * 1000;
while (performance.now() < end) {
  Deno.mkdirSync(`${directory}/p/d`, { recursive: true });
  // One that exists where the link leads, or one that does not.
  const name = target.includes("x.db") || Math.random() < 0.5 ? "x.db" : `${counts.tries}.db`;
  await round(`${directory}/p/d/${name}`);
  attempt(() => Deno.removeSync(`${directory}/p`, { recursive: true }));
  console.log(JSON.stringify(counts));
}
Deno.exit();
