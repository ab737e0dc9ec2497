// Functions for files by their paths.

import { equal, test, throws, throwsSync } from "./harness.ts";

const directory = Deno.makeTempDirSync({ prefix: "openkv_" });
Deno.chdir(directory);

/** Returns the sorted names in a directory. */
function names(path: string): string[] {
  return [...Deno.readDirSync(path)].map((entry) => entry.name).sort();
}

await test("a text is written and read", async () => {
  await Deno.writeTextFile("text", "grün\n");
  equal(await Deno.readTextFile("text"), "grün\n");
  equal(await Deno.readFile("text"), new TextEncoder().encode("grün\n"));
  Deno.writeTextFileSync("text", "less");
  equal([Deno.readTextFileSync("text"), Deno.readFileSync("text")], ["less", new TextEncoder().encode("less")]);
});

await test("bytes are written and read", async () => {
  const bytes = Uint8Array.from({ length: 300_000 }, (_, i) => i * 7);
  await Deno.writeFile("bytes", bytes);
  equal((await Deno.readFile("bytes")).every((byte, i) => byte === bytes[i]), true);
  Deno.writeFileSync("bytes", new Uint8Array([0, 255]));
  equal(Deno.readFileSync("bytes"), new Uint8Array([0, 255]));
});

await test("bytes that are not valid UTF-8 are read as replacement characters", () => {
  Deno.writeFileSync("bytes", new Uint8Array([97, 255, 98]));
  equal(Deno.readTextFileSync("bytes"), "a\ufffdb");
});

await test("a path may be a URL", async () => {
  const url = new URL(`file://${directory}/by%20url`);
  await Deno.writeTextFile(url, "here");
  equal([Deno.readTextFileSync("by url"), (await Deno.stat(url)).size], ["here", 4]);
  await throws(() => Deno.readFile(new URL("https://a.example/")), "TypeError", "Must be a file URL");
});

await test("a text is appended", async () => {
  await Deno.writeTextFile("log", "a", { append: true });
  Deno.writeTextFileSync("log", "b", { append: true });
  equal(Deno.readTextFileSync("log"), "ab");
});

await test("a file is created only if requested", async () => {
  const missing = "No such file or directory (os error 2): writefile 'absent'";
  await throws(() => Deno.writeTextFile("absent", "", { create: false }), "NotFound", missing);
  const exists = "File exists (os error 17): writefile 'text'";
  throwsSync(() => Deno.writeTextFileSync("text", "", { createNew: true }), "AlreadyExists", exists);
  await Deno.writeTextFile("private", "", { mode: 0o600 });
  equal(Deno.statSync("private").mode! & 0o777, 0o600);
});

await test("a stream is written", async () => {
  await Deno.writeTextFile("stream", ReadableStream.from(["a", "bc"]));
  await Deno.writeFile("stream", ReadableStream.from([new Uint8Array([100]), new Uint8Array([101])]), { append: true });
  equal(Deno.readTextFileSync("stream"), "abcde");
});

await test("reading and writing are aborted by a signal", async () => {
  const signal = AbortSignal.abort();
  await throws(() => Deno.readTextFile("text", { signal }), "DOMException", "The signal has been aborted");
  await throws(() => Deno.writeTextFile("text", "x", { signal }), "DOMException", "The signal has been aborted");
  await throws(
    () => Deno.readFile("text", { signal: AbortSignal.abort(new RangeError("mine")) }),
    "RangeError",
    "mine",
  );
});

await test("errors name the function and the path", async () => {
  const missing = "No such file or directory (os error 2)";
  await throws(() => Deno.readTextFile("absent"), "NotFound", `${missing}: readfile 'absent'`);
  throwsSync(() => Deno.readFileSync("absent"), "NotFound", `${missing}: readfile 'absent'`);
  throwsSync(() => Deno.statSync("absent"), "NotFound", `${missing}: stat 'absent'`);
  throwsSync(() => Deno.openSync("absent"), "NotFound", `${missing}: open 'absent'`);
  throwsSync(() => Deno.removeSync("absent"), "NotFound", `${missing}: remove 'absent'`);
  throwsSync(() => Deno.renameSync("absent", "b"), "NotFound", `${missing}: rename 'absent' -> 'b'`);
  throwsSync(() => Deno.copyFileSync("absent", "b"), "NotFound", `${missing}: copy 'absent' -> 'b'`);
  throwsSync(() => Deno.realPathSync("absent"), "NotFound", `${missing}: realpath 'absent'`);
  throwsSync(() => Deno.mkdirSync("absent/a"), "NotFound", `${missing}: mkdir 'absent/a'`);
  throwsSync(() => Deno.readTextFileSync("."), "IsADirectory", "Is a directory (os error 21): readfile '.'");
  throwsSync(() => Deno.statSync("text/a"), "NotADirectory", "Not a directory (os error 20): stat 'text/a'");
  const error = await Deno.readTextFile("absent").catch((error) => error);
  equal([error.code, error.name, error instanceof Deno.errors.NotFound], ["ENOENT", "NotFound", true]);
});

await test("a directory is created, with its parents if requested", async () => {
  await Deno.mkdir("one");
  await throws(() => Deno.mkdir("one"), "AlreadyExists", "File exists (os error 17): mkdir 'one'");
  await Deno.mkdir("one/two/three", { recursive: true });
  Deno.mkdirSync("one/two/three", { recursive: true });
  Deno.mkdirSync("one/private", { mode: 0o700 });
  equal([names("one"), Deno.statSync("one/private").mode! & 0o777], [["private", "two"], 0o700]);
});

await test("a directory is listed", async () => {
  Deno.mkdirSync("list/directory", { recursive: true });
  Deno.writeTextFileSync("list/file", "");
  Deno.symlinkSync("file", "list/link");
  const entries = await Array.fromAsync(Deno.readDir("list"));
  const listed = entries.map(({ name, isFile, isDirectory, isSymlink }) => [name, isFile, isDirectory, isSymlink]);
  equal(listed.sort(), [["directory", false, true, false], ["file", true, false, false], ["link", false, false, true]]);
  equal(names("list"), ["directory", "file", "link"]);
  const missing = "No such file or directory (os error 2): readdir 'absent'";
  await throws(() => Array.fromAsync(Deno.readDir("absent")), "NotFound", missing);
  throwsSync(() => Deno.readDirSync("absent"), "NotFound", missing);
});

await test("files and directories are removed", async () => {
  Deno.mkdirSync("gone/inner", { recursive: true });
  Deno.writeTextFileSync("gone/file", "");
  const full = "Directory not empty (os error 39): remove 'gone'";
  await throws(() => Deno.remove("gone"), "Error", full);
  await Deno.remove("gone/file");
  Deno.removeSync("gone/inner");
  Deno.writeTextFileSync("gone/file", "");
  await Deno.remove("gone", { recursive: true });
  equal(names(".").includes("gone"), false);
});

await test("a file has information", async () => {
  Deno.writeTextFileSync("info", "12345");
  Deno.chmodSync("info", 0o640);
  const info = await Deno.stat("info");
  equal([info.isFile, info.isDirectory, info.isSymlink, info.size], [true, false, false, 5]);
  equal([info.mode! & 0o777, info.nlink, info.uid, info.gid], [0o640, 1, Deno.uid(), Deno.gid()]);
  equal([info.isBlockDevice, info.isCharDevice, info.isFifo, info.isSocket], [false, false, false, false]);
  equal([info.mtime instanceof Date, info.atime instanceof Date, info.ctime instanceof Date], [true, true, true]);
  equal([typeof info.dev, typeof info.ino, typeof info.blksize, typeof info.blocks], Array(4).fill("number"));
  equal(Object.keys(info).sort(), Object.keys(Deno.lstatSync("info")).sort());
  equal(Deno.statSync("/dev/null").isCharDevice, true);
});

await test("times are set", async () => {
  await Deno.utime("info", 1000, new Date(2_000_500));
  const { atime, mtime } = Deno.statSync("info");
  equal([atime, mtime], [new Date(1_000_000), new Date(2_000_500)]);
  Deno.utimeSync("info", 3, 4);
  equal(Deno.statSync("info").mtime, new Date(4000));
});

await test("modes and owners are set", async () => {
  await Deno.chmod("info", 0o604);
  equal(Deno.statSync("info").mode! & 0o777, 0o604);
  await Deno.chown("info", Deno.uid(), null);
  Deno.chownSync("info", null, Deno.gid());
  equal([Deno.statSync("info").uid, Deno.statSync("info").gid], [Deno.uid(), Deno.gid()]);
});

await test("a file is truncated and extended", async () => {
  Deno.writeTextFileSync("cut", "abcdef");
  await Deno.truncate("cut", 2);
  equal(Deno.readTextFileSync("cut"), "ab");
  Deno.truncateSync("cut", 4);
  equal(Deno.readFileSync("cut"), new Uint8Array([97, 98, 0, 0]));
  await Deno.truncate("cut");
  equal(Deno.statSync("cut").size, 0);
});

await test("a file is copied with its mode, and replaces another", async () => {
  Deno.writeTextFileSync("original", "original", { mode: 0o640 });
  Deno.writeTextFileSync("copy", "something longer");
  await Deno.copyFile("original", "copy");
  equal(Deno.readTextFileSync("copy"), "original");
  Deno.copyFileSync("original", "new copy");
  equal(Deno.statSync("new copy").mode! & 0o777, 0o640);
});

await test("a file is renamed, and replaces another", async () => {
  Deno.writeTextFileSync("before", "before");
  await Deno.rename("before", "after");
  Deno.renameSync("after", "copy");
  equal([Deno.readTextFileSync("copy"), names(".").includes("before")], ["before", false]);
});

await test("a symbolic link refers to a file", async () => {
  await Deno.symlink("original", "soft");
  Deno.symlinkSync("nowhere", "dangling");
  equal([await Deno.readLink("soft"), Deno.readLinkSync("dangling")], ["original", "nowhere"]);
  equal([Deno.statSync("soft").isFile, (await Deno.lstat("soft")).isSymlink], [true, true]);
  equal([await Deno.realPath("soft"), Deno.realPathSync(".")], [`${directory}/original`, directory]);
  throwsSync(() => Deno.statSync("dangling"), "NotFound", "No such file or directory (os error 2): stat 'dangling'");
  throwsSync(() => Deno.readLinkSync("original"), "TypeError", "Invalid argument (os error 22): readlink 'original'");
  const exists = "File exists (os error 17): symlink 'original' -> 'soft'";
  throwsSync(() => Deno.symlinkSync("original", "soft"), "AlreadyExists", exists);
});

await test("a hard link is the same file", async () => {
  await Deno.link("original", "hard");
  Deno.linkSync("original", "harder");
  Deno.writeTextFileSync("hard", "changed");
  equal([Deno.readTextFileSync("original"), Deno.statSync("harder").nlink], ["changed", 3]);
});

await test("temporary files and directories have unique names", async () => {
  const created = [
    await Deno.makeTempDir(),
    Deno.makeTempDirSync({ dir: directory, prefix: "before_", suffix: "_after" }),
    await Deno.makeTempFile({ dir: directory, prefix: "before_", suffix: ".txt" }),
    Deno.makeTempFileSync(),
  ];
  equal(created.map((path) => Deno.statSync(path).isDirectory), [true, true, false, false]);
  equal([created[1], created[2]].map((path) => path.startsWith(`${directory}/before_`)), [true, true]);
  equal([created[1].endsWith("_after"), created[2].endsWith(".txt"), new Set(created).size], [true, true, 4]);
  equal(created.map((path) => Deno.statSync(path).mode! & 0o077), [0, 0, 0, 0]);
  for (const path of created) await Deno.remove(path);
});

await test("the working directory changes", () => {
  Deno.mkdirSync("inner");
  Deno.chdir("inner");
  equal(Deno.cwd(), `${directory}/inner`);
  Deno.chdir(new URL(`file://${directory}`));
  equal(Deno.cwd(), directory);
  throwsSync(() => Deno.chdir("absent"), "NotFound", "No such file or directory (os error 2): chdir 'absent'");
});

await test("changes of a directory are watched", async () => {
  Deno.mkdirSync("watched");
  using watcher = Deno.watchFs("watched");
  Deno.writeTextFileSync("watched/file", "");
  for await (const event of watcher) {
    equal([event.kind, event.paths], ["create", [`${directory}/watched/file`]]);
    break;
  }
});

/** Returns the paths of the changes of an action, up to the file `last`, which is created after it. */
async function changed(path: string, options: object | undefined, action: () => void): Promise<Set<string>> {
  using watcher = Deno.watchFs(path, options);
  action();
  Deno.writeTextFileSync("changes/last", "");
  const changed = new Set<string>();
  for await (const { paths } of watcher) {
    for (const path of paths) changed.add(path.slice(`${directory}/changes/`.length));
    if (changed.delete("last")) break;
  }
  Deno.removeSync("changes/last");
  return changed;
}

await test("changes of ignored paths, and within them, are not reported", async () => {
  Deno.mkdirSync("changes/ignored/deep", { recursive: true });
  Deno.mkdirSync("changes/other");
  const action = () => {
    for (const name of ["ignored/deep/file", "ignored/file", "ignored_too", "other/file"]) {
      Deno.writeTextFileSync(`changes/${name}`, `${Math.random()}`);
    }
  };
  const own = ["ignored/deep/file", "ignored/file", "ignored_too", "other/file"];
  const cases: [ignore: unknown, expected: string[]][] = [
    [undefined, own],
    [[], own],
    ["changes/ignored", ["ignored_too", "other/file"]],
    ["./changes/other/../ignored/", ["ignored_too", "other/file"]],
    [`${directory}/changes/ignored`, ["ignored_too", "other/file"]],
    [["changes/ignored", "changes/other"], ["ignored_too"]],
    [["changes/ignored/deep", "changes/other/file"], ["ignored/file", "ignored_too"]],
    ["changes/absent", own],
    // Outside of the watched directory.
    ["text", own],
  ];
  for (const path of ["changes", "./changes/", `${directory}/changes`]) {
    for (const [ignore, expected] of cases) {
      equal([...await changed(path, { ignore }, action)].sort(), expected);
    }
  }
  // By the name of a link.
  Deno.symlinkSync("changes/ignored", "link");
  equal([...await changed("changes", { ignore: "link" }, action)].sort(), ["ignored_too", "other/file"]);
  // A move out of the ignored directory is a change outside of it.
  const move = () => Deno.renameSync("changes/ignored/file", "changes/moved");
  equal((await changed("changes", { ignore: ["changes/ignored"] }, move)).has("moved"), true);
  const gone = () => Deno.removeSync("changes/ignored", { recursive: true });
  equal([...await changed("changes", { ignore: ["changes/ignored"] }, gone)], []);
});

await test("a watcher that is not read for long reports a rescan", async () => {
  Deno.mkdirSync("crowd");
  using watcher = Deno.watchFs("crowd");
  const changes = watcher[Symbol.asyncIterator]();
  const next = async (): Promise<Deno.FsEvent> => (await changes.next()).value;
  let event: Deno.FsEvent;
  let round = 0;
  do {
    // More changes than the capacity of the queue.
    for (let i = 0; i < 3000; i++) Deno.mkdirSync(`crowd/${round}_${i}`);
    round++;
    event = await next();
  } while (event.flag !== "rescan");
  equal([event.kind, event.paths], ["any", [`${directory}/crowd`]]);
  // It continues after that.
  Deno.mkdirSync("crowd/later");
  do event = await next(); while (!event.paths.includes(`${directory}/crowd/later`));
  equal(event.kind, "create");
});

Deno.chdir("/");
Deno.removeSync(directory, { recursive: true });
