// Opens databases, writes, closes them, and immediately copies, renames or opens the file. For each file that must contain everything
// that was acknowledged before, prints "judge MOMENT LEFT FILE": LEFT is whether the WAL or its index remained.
import { type Kind, KINDS, say, Writer } from "./write.ts";

const [directory, action, rounds] = Deno.args;

function exists(path: string): boolean {
  try {
    Deno.lstatSync(path);
    return true;
  } catch {
    return false;
  }
}

const isLeft = (path: string) => exists(`${path}-wal`) || exists(`${path}-shm`);

function judge(moment: string, path: string, copy: string) {
  const left = isLeft(path);
  Deno.copyFileSync(path, copy);
  say(`judge ${moment} ${left} ${copy}`);
}

/** Closes a database with `using`. */
async function using(path: string) {
  say(`begin ${path}`);
  using kv = await Deno.openKv(path);
  await kv.atomic().set(["written", 0], new Uint8Array(5000)).set(["last", 0], new Uint8Array(2)).commit();
  say("a 0 5000 0");
}

async function round(i: number) {
  const path = `${directory}/${action}${i}.db`;
  const kind: Kind = KINDS[i % KINDS.length];
  if (action === "dispose" && kind === "small") {
    await using(path);
    return judge("immediately", path, `${path}.copy`);
  }
  const writer = await Writer.open(path, kind);
  await writer.use();
  writer.close(action === "dispose");
  if (action === "rename") {
    // Writes in flight would go to the file under its old name.
    await Promise.allSettled(writer.inFlight);
    const left = isLeft(path);
    Deno.renameSync(path, `${path}.copy`);
    say(`judge immediately ${left} ${path}.copy`);
    return;
  }
  if (action === "reopen") {
    const kv = await Deno.openKv(path);
    const [{ value }] = await kv.getMany<[Uint8Array]>([["written", 0]]);
    if (value?.length !== 100) throw new Error(`round ${i}: the first write is missing: ${value}`);
    kv.close();
  }
  judge("immediately", path, `${path}.copy`);
  if (writer.inFlight.length === 0) return;
  await Promise.allSettled(writer.inFlight);
  judge("settled", path, `${path}.copy2`);
}

for (let i = 0; i < Number(rounds); i++) await round(i);
