// A debugger: runs scripts with the command given as arguments, attaches to them and prints what it sees.

const [program, ...args] = Deno.args;

// deno-lint-ignore no-explicit-any
type Message = any;

class Debugger implements AsyncDisposable {
  readonly stdout: Promise<string>;
  readonly #child: Deno.ChildProcess;
  readonly #lines: ReadableStreamDefaultReader<string>;
  #socket!: WebSocket;
  #last = 0;
  #received: Message[] = [];
  #waiting: (() => void)[] = [];
  #rest = "";
  url = "";

  private constructor(flag: string, file: string) {
    const command = [...args, "run", "-A", ...(flag ? [flag] : []), file];
    this.#child = new Deno.Command(program, { args: command, stdout: "piped", stderr: "piped" }).spawn();
    this.stdout = new Response(this.#child.stdout).text();
    this.#lines = this.#child.stderr.pipeThrough(new TextDecoderStream()).getReader();
  }

  /** Starts a script, and connects to the URL that it prints. */
  static async start(flag: string, file: string) {
    const started = new Debugger(flag, file);
    const line = await started.line("Debugger listening on ");
    started.url = line.split(" ").at(-1)!;
    started.#socket = new WebSocket(started.url);
    started.#socket.onmessage = ({ data }) => {
      started.#received.push(JSON.parse(data));
      started.#waiting.splice(0).forEach((wake) => wake());
    };
    await new Promise((resolve, reject) => {
      started.#socket.onopen = resolve;
      started.#socket.onerror = reject;
    });
    return started;
  }

  /** Returns the next line of the standard error that contains a text. */
  async line(text: string) {
    for (;;) {
      const lines = this.#rest.split("\n");
      const found = lines.slice(0, -1).findIndex((line) => line.includes(text));
      if (found >= 0) {
        this.#rest = lines.slice(found + 1).join("\n");
        return lines[found];
      }
      const { value, done } = await this.#lines.read();
      if (done) throw new Error(`no line contains ${text}: ${this.#rest}`);
      this.#rest += value;
    }
  }

  /** Returns the next message that fulfills a condition. Earlier ones stay. */
  async next(condition: (message: Message) => boolean) {
    for (;;) {
      const found = this.#received.findIndex(condition);
      if (found >= 0) return this.#received.splice(found, 1)[0];
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
  }

  event = (method: string) => this.next((message) => message.method === method).then(({ params }) => params);

  /** Calls a method. Returns its result. */
  async call(method: string, params: Record<string, unknown> = {}) {
    const id = ++this.#last;
    this.#socket.send(JSON.stringify({ id, method, params }));
    const { result, error } = await this.next((message) => message.id === id);
    if (error) throw new Error(`${method}: ${error.message}`);
    return result;
  }

  /** Disconnects, and returns the exit code. */
  async end() {
    this.#socket.close();
    return (await this.#child.status).code;
  }

  async [Symbol.asyncDispose]() {
    await this.#lines.cancel();
    try {
      this.#child.kill("SIGKILL");
    } catch {
      // It has ended.
    }
    await this.#child.status;
  }
}

async function script(name: string, text: string) {
  await Deno.writeTextFile(name, text);
  return name;
}

// A script that waits for a debugger at its first statement.
{
  const file = await script(
    "paused.ts",
    "interface A { a: number }\nconst a: A = { a: 1 };\nconsole.log('seen', a.a);\nconst b = a.a + 1;\nconsole.log(b);\n",
  );
  await using client = await Debugger.start("--inspect-brk=127.0.0.1:0", file);
  await client.call("Runtime.enable");
  await client.call("Debugger.enable");
  const pause = client.event("Debugger.paused");
  await client.call("Runtime.runIfWaitingForDebugger");
  const { callFrames: [first] } = await pause;
  const { scriptId } = first.location;
  const isFirst = (message: Message) =>
    message.method === "Debugger.scriptParsed" && message.params.scriptId === scriptId;
  console.log("first statement:", (await client.next(isFirst)).params.url.endsWith("/paused.ts"));
  const { scriptSource } = await client.call("Debugger.getScriptSource", { scriptId });
  const lineNumber = scriptSource.split("\n").findIndex((line: string) => line.startsWith("console.log(b)"));
  const { locations } = await client.call("Debugger.setBreakpointByUrl", { lineNumber, urlRegex: "paused\\.ts$" });
  console.log("breakpoints:", locations.length);
  const message = client.event("Runtime.consoleAPICalled");
  await client.call("Debugger.resume");
  console.log("console:", (await message).args.map(({ value }: { value: unknown }) => value));
  const { callFrames: [frame], hitBreakpoints } = await client.event("Debugger.paused");
  const { result } = await client.call("Debugger.evaluateOnCallFrame", {
    callFrameId: frame.callFrameId,
    expression: "`${b} ${a.a}`",
  });
  console.log("breakpoint:", hitBreakpoints.length, result.value);
  await client.call("Debugger.resume");
  console.log("exit code:", await client.end(), JSON.stringify(await client.stdout));
}

// A script that waits for a debugger, and then runs to its end.
{
  const file = await script("waits.ts", "console.log('ran'); Deno.exitCode = 3;");
  await using client = await Debugger.start("--inspect-wait=127.0.0.1:0", file);
  await client.call("Runtime.enable");
  const message = client.event("Runtime.consoleAPICalled");
  await client.call("Runtime.runIfWaitingForDebugger");
  await message;
  console.log("exit code:", await client.end(), JSON.stringify(await client.stdout));
}

// A script with a worker, which runs until the debugger stops it.
{
  await script("worker.ts", "globalThis.name = 'of the worker'; setInterval(() => {}, 1000);");
  const file = await script(
    "runs.ts",
    `
    globalThis.worker = new Worker(new URL("worker.ts", import.meta.url), { type: "module" });
    globalThis.own = "of the script";
    setInterval(() => {}, 1000);
  `,
  );
  await using client = await Debugger.start("--inspect=127.0.0.1:0", file);
  const { host } = new URL(client.url);
  const targets = await (await fetch(`http://${host}/json/list`)).json();
  console.log("targets:", targets.map((target: Record<string, string>) => target.webSocketDebuggerUrl === client.url));
  const evaluate = async (expression: string) => (await client.call("Runtime.evaluate", { expression })).result.value;
  while (await evaluate("globalThis.own") === undefined);
  console.log("script:", await evaluate("own"));

  await client.call("NodeWorker.enable", { waitForDebuggerOnStart: false });
  const { sessionId } = await client.event("NodeWorker.attachedToWorker");
  for (let id = 1000;; id++) {
    const message = JSON.stringify({ id, method: "Runtime.evaluate", params: { expression: "globalThis.name" } });
    await client.call("NodeWorker.sendMessageToWorker", { sessionId, message });
    const received = await client.event("NodeWorker.receivedMessageFromWorker");
    const { result } = JSON.parse(received.message);
    if (result?.result.value) {
      console.log("worker:", result.result.value);
      break;
    }
  }
  // The process may exit before it responds.
  client.call("Runtime.evaluate", { expression: "Deno.exit(4)" });
  await client.stdout;
  console.log("exit code:", await client.end());
}

// A script that lets debuggers attach itself.
{
  const file = await script(
    "opens.ts",
    `
    import inspector from "node:inspector";
    inspector.open(0, "127.0.0.1");
    globalThis.opened = inspector.url();
    const timer = setInterval(() => { if (globalThis.done) { clearInterval(timer); inspector.close(); } }, 1);
  `,
  );
  await using client = await Debugger.start("", file);
  const evaluate = async (expression: string) => (await client.call("Runtime.evaluate", { expression })).result.value;
  let opened;
  while (opened === undefined) opened = await evaluate("globalThis.opened");
  console.log("opened:", opened === client.url);
  // The server may close the connection before it responds.
  evaluate("globalThis.done = true");
  await client.stdout;
  console.log("exit code:", await client.end());
}
