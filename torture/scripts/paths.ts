// Opens databases in an allowed directory, and swaps the database, its directory or its WAL for a link to a denied directory
// meanwhile. After each round, prints JSON: how often it tried to open a database and did, and how often it read a denied one.
const [directory, variant, seconds] = Deno.args;

const sleep = (milliseconds: number) => new Promise((resolve) => setTimeout(resolve, milliseconds));
const counts = { tries: 0, opened: 0, read: 0, swaps: 0 };

/** The paths that are swapped for a link, by variant. */
const targets: Record<string, string> = {
  directory: "p/d",
  parent: "p",
  file: "p/d/x.db",
  wal: "p/d/x.db-wal",
  shm: "p/d/x.db-shm",
};
const target = `${directory}/${targets[variant]}`;
const aside = `${directory}/aside`;
/** The number of the next link. All have the same target. Closing a database removes a link in place of its WAL. */
let link = 0;

function attempt(operation: () => void): boolean {
  try {
    operation();
    return true;
  } catch {
    return false;
  }
}

/** Moves the target aside, and a link in its place. Returns a function that undoes both. */
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

function block(iterations: number) {
  for (let i = 0; i < iterations; i++) performance.now();
}

/** Reads and writes. The caller checks the denied database for changes. */
async function use(kv: Deno.Kv) {
  try {
    if ((await kv.get(["secret", 0])).value !== null) counts.read++;
    await kv.set(["changed"], counts.tries);
  } catch {
    // A database whose files are gone may throw any error.
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
  // Closing may continue in the background.
  await sleep(counts.tries % 2 * 3);
  back?.();
}

const end = performance.now() + Number(seconds) * 1000;
while (performance.now() < end) {
  Deno.mkdirSync(`${directory}/p/d`, { recursive: true });
  // A file that exists in the target of the link, or one that does not.
  const name = target.includes("x.db") || Math.random() < 0.5 ? "x.db" : `${counts.tries}.db`;
  await round(`${directory}/p/d/${name}`);
  attempt(() => Deno.removeSync(`${directory}/p`, { recursive: true }));
  console.log(JSON.stringify(counts));
}
Deno.exit();
