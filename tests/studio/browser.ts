// A browser that tests drive: headless Chromium, by the WebDriver protocol of chromedriver.

/** How long to wait for a condition, in milliseconds. */
const TIMEOUT = 60_000;
const ELEMENT = "element-6066-11e4-a52e-4f735466cecf";

/** Keys that are typed, as WebDriver names them. */
export const KEYS = {
  enter: "\uE007",
  escape: "\uE00C",
  end: "\uE010",
  home: "\uE011",
  up: "\uE013",
  right: "\uE014",
  down: "\uE015",
  delete: "\uE017",
  backspace: "\uE003",
};
const CONTROL = "\uE009";

/** Finds the visible element with a selector and a text. */
const FIND = `[...document.querySelectorAll(arguments[0])]
  .find((found) => found.checkVisibility() && found.textContent.includes(arguments[1]))`;

/** A running chromedriver. */
export class Driver implements AsyncDisposable {
  #process: Deno.ChildProcess;
  #address: string;
  #browsers: Browser[] = [];

  private constructor(process: Deno.ChildProcess, address: string) {
    this.#process = process;
    this.#address = address;
  }

  static async start(): Promise<Driver> {
    for (;;) {
      const started = await Driver.#start();
      if (typeof started !== "string") return started;
      // It chooses a port that is free on one version of IP, and exits if another program has that of the other.
      if (!started.includes("port not available")) throw new Error(`chromedriver did not start: ${started}`);
    }
  }

  /** Returns the output of a chromedriver that exits. */
  static async #start(): Promise<Driver | string> {
    const process = new Deno.Command("chromedriver", { args: ["--port=0"], stdout: "piped", stderr: "null" }).spawn();
    let output = "";
    const reader = process.stdout.pipeThrough(new TextDecoderStream()).getReader();
    for (let chunk = await reader.read(); !chunk.done; chunk = await reader.read()) {
      output += chunk.value;
      const port = /started successfully on port (\d+)/.exec(output)?.[1];
      if (port === undefined) continue;
      // What it prints later is not read.
      reader.cancel();
      return new Driver(process, `http://127.0.0.1:${port}`);
    }
    return output;
  }

  /** Opens a window of its own browser. */
  async open(width = 1280, height = 800, downloads = "/dev/null"): Promise<Browser> {
    // Downloads go to the directory of the caller.
    const prefs = { "download.default_directory": downloads, "download.prompt_for_download": false };
    const args = [
      "--headless=new",
      "--no-sandbox",
      "--disable-dev-shm-usage",
      `--window-size=${width},${height}`,
      "--hide-scrollbars=0",
    ];
    const capabilities = {
      alwaysMatch: {
        "goog:chromeOptions": { args, prefs },
        "goog:loggingPrefs": { browser: "ALL", performance: "ALL" },
      },
    };
    const { sessionId } = await request(`${this.#address}/session`, "POST", { capabilities }) as { sessionId: string };
    const browser = new Browser(`${this.#address}/session/${sessionId}`);
    this.#browsers.push(browser);
    return browser;
  }

  async [Symbol.asyncDispose]() {
    for (const browser of this.#browsers) await browser.close();
    this.#process.kill();
    await this.#process.status;
  }
}

/** A browser with one window. */
export class Browser {
  #session: string;

  constructor(session: string) {
    this.#session = session;
  }

  async go(url: string): Promise<void> {
    // Only another path loads the page again.
    await this.#post("url", { url: "about:blank" });
    await this.#post("url", { url });
  }

  close(): Promise<unknown> {
    return request(this.#session, "DELETE");
  }

  /** Runs a function body in the page. Returns its result. */
  // deno-lint-ignore no-explicit-any
  run(script: string, ...args: unknown[]): Promise<any> {
    return this.#post("execute/sync", { script, args });
  }

  /** Waits until an expression in the page is true. Returns its value. */
  // deno-lint-ignore no-explicit-any
  async until(expression: string, ...args: unknown[]): Promise<any> {
    // Polled in the page, with each of its frames.
    const script = `const [done, deadline] = [arguments[arguments.length - 1], Date.now() + ${TIMEOUT}];
      const poll = () => {
        const value = (() => { try { return ${expression}; } catch { return false; } })();
        if (value || Date.now() > deadline) done(value); else setTimeout(poll, 10);
      };
      poll();`;
    await this.#post("timeouts", { script: 2 * TIMEOUT });
    const value = await this.#post("execute/async", { script, args });
    if (!value) {
      throw new Error(
        `not true in ${TIMEOUT} ms: ${expression}\nThe page: ${await this.run("return document.body.innerText")}`,
      );
    }
    return value;
  }

  /** Waits until an element with this selector, and this text, exists. Returns its text. */
  text(selector: string, text = ""): Promise<string> {
    return this.until(
      `${FIND}.textContent || " "`,
      selector,
      text,
    );
  }

  /** Returns the texts of all elements with a selector. */
  texts(selector: string): Promise<string[]> {
    return this.run("return [...document.querySelectorAll(arguments[0])].map((found) => found.textContent)", selector);
  }

  /** Clicks an element with this selector, and this text, once it exists. */
  async click(selector: string, text = ""): Promise<void> {
    const element = await this.until(
      FIND,
      selector,
      text,
    );
    try {
      await this.#post(`element/${element[ELEMENT]}/click`, {});
    } catch (error) {
      // The page has replaced it meanwhile.
      if (error instanceof Error && error.message.startsWith("stale element reference")) {
        return await this.click(selector, text);
      }
      throw error;
    }
  }

  /** Types text into an element. */
  async type(selector: string, text: string): Promise<void> {
    const element = await this.#post("element", { using: "css selector", value: selector }) as Record<string, string>;
    await this.#post(`element/${element[ELEMENT]}/value`, { text });
  }

  /** Replaces the text of a field. */
  async fill(selector: string, text: string): Promise<void> {
    await this.text(selector);
    await this.type(selector, `${CONTROL}a`);
    await this.type(selector, `${KEYS.backspace}${text}`);
  }

  /** Presses keys in the element that has the focus. */
  async press(...keys: string[]): Promise<void> {
    const actions = keys.flatMap((value) => ["keyDown", "keyUp"].map((type) => ({ type, value })));
    await this.#post("actions", { actions: [{ type: "key", id: "keyboard", actions }] });
  }

  /** Returns the messages of the console since the last call. */
  async console(): Promise<string[]> {
    const entries = await this.#post("se/log", { type: "browser" }) as { message: string }[];
    return entries.map(({ message }) => message);
  }

  /** Returns the URLs of all requests since the last call. */
  async requests(): Promise<string[]> {
    const entries = await this.#post("se/log", { type: "performance" }) as { message: string }[];
    const events = entries.map(({ message }) => JSON.parse(message).message);
    return events.filter(({ method }) => method === "Network.requestWillBeSent").map(({ params }) =>
      params.request.url
    );
  }

  /** Returns the window as PNG. */
  async screenshot(): Promise<Uint8Array> {
    return Uint8Array.fromBase64(await request(`${this.#session}/screenshot`, "GET") as string);
  }

  /** Emulates a light or dark system, and a width. */
  async emulate(scheme: "light" | "dark", width: number, height: number, scale = 1): Promise<void> {
    await this.#cdp("Emulation.setEmulatedMedia", { features: [{ name: "prefers-color-scheme", value: scheme }] });
    await this.#cdp("Emulation.setDeviceMetricsOverride", { width, height, deviceScaleFactor: scale, mobile: false });
  }

  /** Collects garbage. Returns the size of the heap of the page in bytes. */
  async heapSize(): Promise<number> {
    await this.#cdp("HeapProfiler.collectGarbage", {});
    const { usedSize } = await this.#cdp("Runtime.getHeapUsage", {}) as { usedSize: number };
    return usedSize;
  }

  #cdp(cmd: string, params: object): Promise<unknown> {
    return this.#post("goog/cdp/execute", { cmd, params });
  }

  #post(path: string, body: object): Promise<unknown> {
    return request(`${this.#session}/${path}`, "POST", body);
  }
}

async function request(url: string, method: string, body?: object): Promise<unknown> {
  const response = await fetch(url, { method, body: body && JSON.stringify(body) });
  const { value } = await response.json();
  if (!response.ok) throw new Error(`${value.error}: ${value.message}`);
  return value;
}
