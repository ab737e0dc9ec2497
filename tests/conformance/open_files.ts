// Open files: `Deno.FsFile`.

import { equal, test, throws, throwsSync } from "./harness.ts";

const directory = Deno.makeTempDirSync({ prefix: "openkv_" });
Deno.chdir(directory);

const encode = (text: string) => new TextEncoder().encode(text);
const decode = (bytes: Uint8Array) => new TextDecoder().decode(bytes);

await test("a file is written and read in pieces", async () => {
  using file = await Deno.open("pieces", { read: true, write: true, create: true });
  equal([await file.write(encode("hello ")), file.writeSync(encode("world"))], [6, 5]);
  equal(await file.seek(0, Deno.SeekMode.Start), 0);
  const piece = new Uint8Array(4);
  equal([await file.read(piece), decode(piece)], [4, "hell"]);
  equal([file.readSync(piece), decode(piece)], [4, "o wo"]);
  equal([await file.read(piece), decode(piece)], [3, "rldo"]);
  equal([await file.read(piece), file.readSync(piece)], [null, null]);
  equal(await file.read(new Uint8Array()), 0);
});

await test("a file is read from the position that was sought", async () => {
  using file = Deno.openSync("pieces");
  const piece = new Uint8Array(5);
  equal([file.seekSync(6, Deno.SeekMode.Start), file.readSync(piece), decode(piece)], [6, 5, "world"]);
  equal([await file.seek(-5, Deno.SeekMode.End), await file.seek(2, Deno.SeekMode.Current)], [6, 8]);
  equal([file.seekSync(-2n, Deno.SeekMode.Current), await file.read(piece), decode(piece)], [6, 5, "world"]);
  await throws(() => file.seek(-100, Deno.SeekMode.Current), "TypeError", "Invalid argument (os error 22)");
});

await test("options of open", async () => {
  await Deno.writeTextFile("ways", "abc");
  (await Deno.open("ways", { append: true })).close();
  equal(Deno.readTextFileSync("ways"), "abc");
  {
    using file = Deno.openSync("ways", { append: true, read: true });
    file.writeSync(encode("d"));
  }
  equal(Deno.readTextFileSync("ways"), "abcd");
  {
    using file = Deno.openSync("ways", { write: true });
    file.writeSync(encode("A"));
  }
  equal(Deno.readTextFileSync("ways"), "Abcd");
  Deno.openSync("ways", { write: true, truncate: true }).close();
  equal(Deno.statSync("ways").size, 0);
  const exists = "File exists (os error 17): open 'ways'";
  throwsSync(() => Deno.openSync("ways", { write: true, createNew: true }), "AlreadyExists", exists);
  await throws(() => Deno.open("ways", {}), "Error", "'options' requires at least one option to be true");
  Deno.openSync("mode", { write: true, create: true, mode: 0o600 }).close();
  equal(Deno.statSync("mode").mode! & 0o777, 0o600);
});

await test("create opens a file for writing and reading, and truncates it", async () => {
  await Deno.writeTextFile("created", "before");
  using file = await Deno.create("created");
  file.writeSync(encode("x"));
  file.seekSync(0, Deno.SeekMode.Start);
  equal([file.readSync(new Uint8Array(9)), Deno.readTextFileSync("created")], [1, "x"]);
  Deno.createSync("created").close();
  equal(Deno.statSync("created").size, 0);
});

await test("a file that is not open for writing or reading rejects it", async () => {
  using read = await Deno.open("pieces");
  await throws(() => read.write(encode("x")), "Error", "Bad file descriptor (os error 9)");
  using write = await Deno.open("pieces", { write: true });
  await throws(() => write.read(new Uint8Array(1)), "Error", "Bad file descriptor (os error 9)");
});

await test("an open file has information, is truncated, and has its times set", async () => {
  using file = await Deno.create("self");
  await file.write(encode("abcdef"));
  equal([(await file.stat()).size, file.statSync().isFile], [6, true]);
  await file.truncate(3);
  equal(file.statSync().size, 3);
  file.truncateSync();
  equal(file.statSync().size, 0);
  await file.utime(10, 20);
  equal(file.statSync().mtime, new Date(20_000));
  file.utimeSync(10, new Date(30_000));
  equal((await file.stat()).mtime, new Date(30_000));
});

await test("a file is synchronized with the disk", async () => {
  using file = await Deno.create("synchronized");
  file.writeSync(encode("x"));
  equal([await file.sync(), await file.syncData(), file.syncSync(), file.syncDataSync()], Array(4).fill(undefined));
});

await test("lock waits for a locked file", async () => {
  using one = await Deno.create("locked");
  using other = await Deno.open("locked", { read: true, write: true });
  await one.lock(true);
  const order: string[] = [];
  const waiting = other.lock(true).then(() => order.push("locked"));
  // A lock that did not wait would be acquired before this write.
  await one.write(encode("x"));
  order.push("unlocked");
  await one.unlock();
  await waiting;
  equal(order, ["unlocked", "locked"]);
  other.unlockSync();
  one.lockSync(false);
  other.lockSync(false);
  one.unlockSync();
  await other.unlock();
});

await test("tryLock does not wait", async () => {
  using one = await Deno.create("tried");
  using other = await Deno.open("tried", { read: true, write: true });
  equal([await one.tryLock(true), await other.tryLock(true), other.tryLockSync(false)], [true, false, false]);
  one.unlockSync();
  equal([other.tryLockSync(true), one.tryLockSync()], [true, false]);
});

await test("a file has a readable stream", async () => {
  const text = "0123456789".repeat(20_000);
  await Deno.writeTextFile("stream", text);
  const file = await Deno.open("stream");
  let read = "";
  for await (const piece of file.readable.pipeThrough(new TextDecoderStream())) read += piece;
  equal(read === text, true);
  throwsSync(() => file.statSync(), "BadResource", "Bad resource ID");
});

await test("a stream that is cancelled closes its file", async () => {
  const file = await Deno.open("stream");
  for await (const piece of file.readable) {
    equal(piece instanceof Uint8Array, true);
    break;
  }
  throwsSync(() => file.statSync(), "BadResource", "Bad resource ID");
});

await test("a file has a writable stream", async () => {
  const file = await Deno.create("written");
  await ReadableStream.from(["a", "b", "c"]).pipeThrough(new TextEncoderStream()).pipeTo(file.writable);
  equal(Deno.readTextFileSync("written"), "abc");
  throwsSync(() => file.statSync(), "BadResource", "Bad resource ID");
});

await test("a stream is copied from file to file", async () => {
  await (await Deno.open("stream")).readable.pipeTo((await Deno.create("copied")).writable);
  equal(Deno.statSync("copied").size, 200_000);
});

await test("a file is not a terminal", () => {
  using file = Deno.openSync("pieces");
  equal(file.isTerminal(), false);
});

await test("a closed file rejects", async () => {
  const file = await Deno.open("pieces");
  file.close();
  throwsSync(() => file.readSync(new Uint8Array(1)), "BadResource", "Bad resource ID");
  await throws(() => file.write(new Uint8Array(1)), "BadResource", "Bad resource ID");
  throwsSync(() => file.close(), "BadResource", "Bad resource ID");
  const disposed = await Deno.open("pieces");
  disposed[Symbol.dispose]();
  disposed[Symbol.dispose]();
});

await test("an open file can be inspected, but not constructed", () => {
  using file = Deno.openSync("pieces");
  equal([Deno.inspect(file).startsWith("FsFile {"), file instanceof Deno.FsFile], [true, true]);
  throwsSync(
    () => new (Deno.FsFile as unknown as new () => unknown)(),
    "TypeError",
    "'Deno.FsFile' cannot be constructed, use 'Deno.open()' or 'Deno.openSync()' instead",
  );
});

Deno.chdir("/");
Deno.removeSync(directory, { recursive: true });
