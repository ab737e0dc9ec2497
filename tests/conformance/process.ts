// Functions for the process and the system.

import { equal, onDeno, test, throws, throwsSync } from "./harness.ts";

await test("arguments, versions and the build", () => {
  equal(Deno.args, onDeno ? ["deno"] : []);
  equal(Object.keys(Deno.version), ["deno", "v8", "typescript"]);
  equal(/^\d+\.\d+\.\d+/.test(Deno.version.deno) && /^\d+\.\d+/.test(Deno.version.v8), true);
  const { target, arch, os, vendor, env, standalone } = Deno.build;
  equal(target, [arch, vendor, os, env].filter((part) => part !== undefined).join("-"));
  equal([standalone, typeof Deno.noColor, Deno.mainModule === import.meta.url], [false, "boolean", true]);
});

await test("environment variables are read and changed", () => {
  const { env } = Deno;
  equal([env.get("OPENKV_A"), env.has("OPENKV_A")], [undefined, false]);
  env.set("OPENKV_A", "grün");
  equal([env.get("OPENKV_A"), env.has("OPENKV_A"), env.toObject().OPENKV_A], ["grün", true, "grün"]);
  env.set("OPENKV_A", "");
  equal([env.get("OPENKV_A"), env.has("OPENKV_A")], ["", true]);
  env.delete("OPENKV_A");
  equal([env.get("OPENKV_A"), "OPENKV_A" in env.toObject()], [undefined, false]);
  throwsSync(() => env.set("", "a"), "TypeError", "Key is an empty string.");
  throwsSync(() => env.set("a=b", "a"), "TypeError", 'Key contains invalid characters: "a=b"');
  throwsSync(() => env.set("a", "\0"), "TypeError", 'Value contains invalid characters: "\\0"');
});

await test("processes have ids, and the executable has a path", () => {
  equal([Number.isInteger(Deno.pid), Number.isInteger(Deno.ppid), Deno.pid === Deno.ppid], [true, true, false]);
  equal([Deno.statSync(Deno.execPath()).isFile, Deno.execPath().startsWith("/")], [true, true]);
  equal(Deno.readTextFileSync(`/proc/${Deno.pid}/stat`).split(" ")[3], `${Deno.ppid}`);
});

await test("memory usage", () => {
  const usage = Deno.memoryUsage();
  equal(Object.keys(usage).sort(), ["external", "heapTotal", "heapUsed", "rss"]);
  equal(usage.heapUsed > 0 && usage.heapUsed <= usage.heapTotal && usage.heapTotal < usage.rss * 10, true);
});

await test("system information", () => {
  equal(Deno.hostname(), Deno.readTextFileSync("/proc/sys/kernel/hostname").trim());
  equal(Deno.osRelease(), Deno.readTextFileSync("/proc/sys/kernel/osrelease").trim());
  equal([Deno.loadavg().length, Deno.osUptime() > 0], [3, true]);
  const memory = Deno.systemMemoryInfo();
  equal([memory.total > memory.free, typeof memory.available, typeof memory.swapTotal], [true, "number", "number"]);
  const loopback = Deno.networkInterfaces().find(({ address }) => address === "127.0.0.1")!;
  equal([loopback.family, loopback.netmask, loopback.cidr], ["IPv4", "255.0.0.0", "127.0.0.1/8"]);
  const owner = Deno.statSync("/proc/self");
  equal([Deno.uid(), Deno.gid()], [owner.uid, owner.gid]);
});

await test("the umask is read and set", () => {
  const before = Deno.umask(0o027);
  equal([Deno.umask(), Deno.umask(before), Deno.umask()], [0o027, 0o027, before]);
});

await test("the exit code is read and set", () => {
  const before = Deno.exitCode;
  Deno.exitCode = 5;
  equal(Deno.exitCode, 5);
  Deno.exitCode = before;
  const set = (value: unknown) => () => Deno.exitCode = value as number;
  throwsSync(set("a"), "TypeError", "Exit code must be a number, got: a (string)");
  throwsSync(set(1.5), "RangeError", "Exit code must be an integer, got: 1.5");
});

await test("signals are received until their listener is removed", async () => {
  let [first, second] = [0, 0];
  const received = () => {
    return new Promise<void>((resolve) => {
      const once = () => {
        Deno.removeSignalListener("SIGUSR1", once);
        resolve();
      };
      Deno.addSignalListener("SIGUSR1", once);
    });
  };
  const one = () => first++;
  const other = () => second++;
  Deno.addSignalListener("SIGUSR1", one);
  Deno.addSignalListener("SIGUSR1", other);
  const once = received();
  Deno.kill(Deno.pid, "SIGUSR1");
  await once;
  Deno.removeSignalListener("SIGUSR1", one);
  const twice = received();
  Deno.kill(Deno.pid, "SIGUSR1");
  await twice;
  Deno.removeSignalListener("SIGUSR1", other);
  equal([first, second], [1, 2]);
});

await test("a missing process and invalid signals are rejected", () => {
  throwsSync(() => Deno.kill(2 ** 22 + 1, "SIGTERM"), "NotFound", "ESRCH: No such process");
  const signal = "SIGNONE" as Deno.Signal;
  throwsSync(() => Deno.kill(Deno.pid, signal), "TypeError", "Invalid signal: SIGNONE");
  throwsSync(() => Deno.addSignalListener(signal, () => {}), "TypeError", "Invalid signal: SIGNONE");
  throwsSync(
    () => Deno.addSignalListener("SIGKILL", () => {}),
    "TypeError",
    "Binding to signal 'SIGKILL' is not allowed",
  );
});

await test("standard streams are available", async () => {
  equal([await Deno.stdout.write(new Uint8Array()), Deno.stderr.writeSync(new Uint8Array())], [0, 0]);
  equal([Deno.stdout.writable, Deno.stderr.writable].map((stream) => stream instanceof WritableStream), [true, true]);
  equal([Deno.stdin.readable instanceof ReadableStream, typeof Deno.stdin.isTerminal()], [true, "boolean"]);
});

await test("errors are classes", () => {
  const names = [
    "AddrInUse AddrNotAvailable AlreadyExists BadResource BrokenPipe Busy ConnectionAborted ConnectionRefused",
    "ConnectionReset FilesystemLoop Http Interrupted InvalidData IsADirectory NetworkUnreachable NotADirectory",
    "NotCapable NotConnected NotFound NotSupported PermissionDenied TimedOut UnexpectedEof WouldBlock WriteZero",
  ];
  equal(Object.keys(Deno.errors).sort().join(" "), names.join(" "));
  const error = new Deno.errors.NotFound("gone", { cause: 1 });
  equal([error.name, error.message, error.cause, error instanceof Error], ["NotFound", "gone", 1, true]);
  equal(
    Object.values(Deno.errors).every((type) => new type("a") instanceof Error && new type("a").name === type.name),
    true,
  );
});

await test("values are inspected with options", () => {
  const value = { b: [1, { c: { d: { e: 1 } } }], a: "x".repeat(5), m: new Map([["k", new Set([1])]]) };
  const lines = ["{", "  b: [", "    1,", "    { c: { d: { e: 1 } } }", "  ],", '  a: "xxxxx",'];
  equal(Deno.inspect(value), [...lines, '  m: Map(1) { "k" => Set(1) { 1 } }', "}"].join("\n"));
  equal(Deno.inspect(value, { depth: 0 }), '{ b: [Array], a: "xxxxx", m: [Map] }');
  equal(Deno.inspect({ b: 1, a: 2 }, { sorted: true, trailingComma: true, compact: false }), "{\n  a: 2,\n  b: 1,\n}");
  equal(Deno.inspect("a".repeat(5), { strAbbreviateSize: 3 }), '"aaa"... 2 more characters');
  equal(Deno.inspect([1, 2, 3, 4], { iterableLimit: 2 }), "[ 1, 2, ... 2 more items ]");
  equal(Deno.inspect({ a: 1 }, { colors: true }), "{ a: \x1b[33m1\x1b[39m }");
  equal(
    Deno.inspect({
      get a() {
        return 1;
      },
    }, { getters: true }),
    "{ a: [Getter: 1] }",
  );
  class Point {
    [Symbol.for("Deno.customInspect")](inspect: typeof Deno.inspect) {
      return `Point ${inspect({ x: 1 })}`;
    }
  }
  equal([Deno.inspect(new Point()), Deno.inspect([new Point()])], ["Point { x: 1 }", "[ Point { x: 1 } ]"]);
});

await test("permissions are queried and requested", async () => {
  const status = await Deno.permissions.query({ name: "read", path: "/" });
  equal([status.state, status.partial, status instanceof Deno.PermissionStatus], ["granted", false, true]);
  equal([status instanceof EventTarget, status.onchange, Deno.permissions instanceof Deno.Permissions], [
    true,
    null,
    true,
  ]);
  equal((await Deno.permissions.request({ name: "net" })).state, "granted");
  equal(Deno.permissions.querySync({ name: "env", variable: "A" }) === status, false);
  const { message } = await Deno.permissions.query({ name: "moon" as "net" }).catch((error) => error);
  equal(message, 'The provided value "moon" is not a valid permission name');
});

await test("a revoked permission is denied, and its status changes", async () => {
  const status = await Deno.permissions.query({ name: "sys" });
  const changed = new Promise((resolve) => status.onchange = resolve);
  equal([(await Deno.permissions.revoke({ name: "sys" })).state, status.state], ["prompt", "prompt"]);
  await changed;
  const flag = "run again with the --allow-sys flag";
  await throws(() => Deno.hostname(), "NotCapable", `Requires sys access to "hostname", ${flag}`);
});

await test("import.meta has the location of the module", () => {
  const { url, dirname, filename, main, resolve } = import.meta;
  equal([url, main, url.endsWith("/process.ts")], [Deno.mainModule, true, true]);
  equal([filename, `${dirname}/process.ts`], [new URL(url).pathname, new URL(url).pathname]);
  equal([resolve("./a.ts"), resolve("https://a.example/b")], [new URL("a.ts", url).href, "https://a.example/b"]);
});

await test("a running process is a ChildProcess, and takes time", async () => {
  const child = new Deno.Command("true").spawn();
  equal([child instanceof Deno.ChildProcess, (await child.status).success], [true, true]);
  const { system, user } = Deno.cpuUsage();
  equal(system + user > 0, true);
});

await test("a timer that is awaited for again keeps the process", async () => {
  await new Promise<void>((resolve) => {
    const timer = setTimeout(resolve, 1) as unknown as number;
    Deno.unrefTimer(timer);
    Deno.refTimer(timer);
  });
});

await test("Deno.run, Deno.Process and Deno.isatty, which have no types, still work", async () => {
  // deno-lint-ignore no-explicit-any
  const { Process, isatty, run } = Deno as any;
  const child = run({ cmd: ["cat"], stdin: "piped", stdout: "piped" });
  equal([child instanceof Process, child.pid > 0], [true, true]);
  await child.stdin.write(new TextEncoder().encode("echo"));
  child.stdin.close();
  equal(new TextDecoder().decode(await child.output()), "echo");
  equal(await child.status(), { success: true, code: 0 });
  child.close();
  throwsSync(() => run({ cmd: ["/missing"] }), "NotFound", "No such file or directory (os error 2)");
  equal(typeof isatty(0), "boolean");
});
