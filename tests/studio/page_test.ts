// Drives the page of `openkv studio` in headless Chromium. Run by tests/studio.rs.

import { type Browser, Driver, KEYS } from "./browser.ts";
import { Studio } from "./studio.ts";

/** The image of one pixel. */
const PNG = Uint8Array.fromBase64(
  "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==",
);

/** The values of all types, by the name of their key, with how the list and the panel show them. */
const VALUES: [name: string, value: unknown, type: string, shown: string][] = [
  ["string", "text", "string", '"text"'],
  ["html", "<img src=x onerror=document.title='attacked'>", "string", "<img src=x onerror=document.title='attacked'>"],
  ["number", 1.5, "number", "1.5"],
  ["negative zero", -0, "number", "-0"],
  ["bigint", 12345678901234567890n, "bigint", "12345678901234567890n"],
  ["boolean", true, "boolean", "true"],
  ["null", null, "null", "null"],
  ["undefined", undefined, "undefined", "undefined"],
  ["u64", new Deno.KvU64(7n), "KvU64", "new Deno.KvU64(7n)"],
  ["date", new Date(0), "Date", "1970-01-01T00:00:00.000Z"],
  ["regexp", /a\/b/gi, "RegExp", "/a\\/b/gi"],
  ["bytes", new TextEncoder().encode("Gr\u00fc\u00dfe"), "Uint8Array", "47 72 c3 bc c3 9f 65"],
  ["floats", new Float32Array([1.5]), "Float32Array", "00 00 c0 3f"],
  ["buffer", new ArrayBuffer(2), "ArrayBuffer", "00 00"],
  ["array", [1, , ["x"]], "Array", "hole"],
  ["object", { name: { nested: [1n] } }, "object", "nested"],
  ["map", new Map([[{ k: 1 }, "v"]]), "Map", "{ k: 1 }"],
  ["set", new Set(["member"]), "Set", '"member"'],
  ["error", new RangeError("too far"), "RangeError", "too far"],
];

function test(name: string, body: (driver: Driver) => Promise<void>): void {
  const run = async () => {
    await using driver = await Driver.start();
    await body(driver);
  };
  // Connections to the driver may be kept.
  Deno.test({ name, fn: run, sanitizeOps: false, sanitizeResources: false });
}

function assertEquals(actual: unknown, expected: unknown): void {
  const [a, b] = [Deno.inspect(actual, { depth: 9 }), Deno.inspect(expected, { depth: 9 })];
  if (a !== b) throw new Error(`${a} is not ${b}`);
}

/** Waits until the list has these keys. */
async function assertKeys(browser: Browser, keys: string[]): Promise<void> {
  await browser.until(
    "JSON.stringify([...document.querySelectorAll('.row:not(.deleted) .key')].map((key) => key.textContent)) === arguments[0]",
    JSON.stringify(keys),
  );
}

async function setFilter(browser: Browser, text: string): Promise<void> {
  await browser.fill("#filter", text + KEYS.enter);
}

async function fillUsers(kv: Deno.Kv): Promise<void> {
  const atomic = kv.atomic();
  for (let i = 0n; i < 300n; i++) atomic.set(["users", i], { name: `user ${i}` });
  atomic.set(["users", 7n, "email"], "seven@example.com").set(["config"], "a").set(["visits"], new Deno.KvU64(2n));
  await atomic.commit();
}

test("keys and values of all types are shown as what they are", async (driver) => {
  const parts = [new Uint8Array([0, 255]), "a", -5n, 2 ** 70, NaN, -0, false, true];
  await using studio = await Studio.start(async (kv) => {
    for (const [name, value] of VALUES) await kv.set(["value", name], value);
    await kv.set(["image"], PNG);
    for (const part of parts) await kv.set(["part", part], 1);
  });
  const browser = await driver.open();
  await browser.go(studio.address);
  for (const [name, , type, shown] of VALUES) {
    await setFilter(browser, '["value"]');
    await browser.click(".row", `"value", "${name}"`);
    await browser.text("#detail h2", `"${name}"`);
    await browser.text("#detail dd", type);
    await browser.text("#detail .value", shown);
  }
  await setFilter(browser, '["part"]');
  const shown = ["0x00ff", '"a"', "-5n", "-0", "1.1805916207174113e+21", "NaN", "false", "true"];
  await assertKeys(browser, shown.map((part) => `"part", ${part}`));

  // Its text is shown, and nested values are folded.
  await setFilter(browser, '["value"]');
  await browser.click(".row", '"bytes"');
  await browser.text("#detail pre.text", "Gr\u00fc\u00dfe");
  await setFilter(browser, "");
  await browser.click(".row", '"image"');
  await browser.until("document.querySelector('#detail img').naturalWidth === 1");

  // Text is never HTML.
  assertEquals(await browser.run("return document.querySelectorAll('.row img').length"), 0);
  assertEquals((await browser.run("return document.title")).includes("attacked"), false);
  assertEquals(await browser.console(), []);
  // Nothing is requested of others.
  const { origin } = new URL(studio.address);
  const foreign = (await browser.requests()).filter((url) =>
    !/^(?:about|blob|data|chrome):/.test(url) && new URL(url).origin !== origin
  );
  assertEquals(foreign, []);
});

test("keys are found by the tree, filters and jumps", async (driver) => {
  await using studio = await Studio.start(fillUsers);
  const browser = await driver.open();
  await browser.go(studio.address);
  await browser.text("#summary", "303 entries");
  await browser.text("#tree .node", '"users"301');
  assertEquals(await browser.texts("#tree .node > :nth-child(2)"), ['"config"', '"users"', '"visits"']);
  await browser.click("#tree .node", '"users"');
  await browser.text("#tree .node", "99n");
  assertEquals(await browser.run("return document.querySelector('#filter').value"), '["users"]');
  await browser.click("#tree button", "More keys");
  await browser.click("#tree .node", "7n");
  await browser.text("#detail .value", '"user 7"');
  await assertKeys(browser, ['"users", 7n, "email"']);

  await setFilter(browser, '["users", 298n] .. ["v"]');
  await assertKeys(browser, ['"users", 298n', '"users", 299n']);
  await setFilter(browser, '["users", 299n] ..');
  await assertKeys(browser, ['"users", 299n', '"visits"']);
  await setFilter(browser, '.. ["users", 1n]');
  await assertKeys(browser, ['"config"', '"users", 0n']);
  for (
    const [invalid, message] of [["users", "quotes"], ['["a"', "expected"], ["[null]", "cannot be part"], [
      '["a"] ["b"]',
      "expected",
    ]]
  ) {
    await setFilter(browser, invalid);
    await browser.text("#error", message);
  }
  await setFilter(browser, '["absent"]');
  await browser.text("#summary", "No entries");

  // A jump leaves the filter.
  await browser.fill("#jump", `["users", 150n]${KEYS.enter}`);
  await browser.text(".row.active", '"users", 150n');
  // The entries before it are there, too.
  await browser.press(KEYS.up);
  await browser.text(".row.active", '"users", 149n');
});

test("entries are added, edited, expired and deleted", async (driver) => {
  await using studio = await Studio.start(fillUsers);
  const browser = await driver.open();
  await browser.go(studio.address);
  await browser.click("#add");
  await browser.fill('[name="key"]', '["all", new Uint8Array([1]), -1n, NaN, true]');
  await browser.fill(
    "textarea",
    '{ text: "x", list: [1n, , new Date(0)], map: new Map([[1, new Set(["a"])]]), bytes: Uint8Array.fromHex("00ff") }',
  );
  await browser.click("#save");
  await browser.text("#detail h2", '"all", 0x01, -1n, NaN, true');
  const added = await studio.use((kv) => kv.get(["all", new Uint8Array([1]), -1n, NaN, true]));
  const value = {
    text: "x",
    list: [1n, , new Date(0)],
    map: new Map([[1, new Set(["a"])]]),
    bytes: new Uint8Array([0, 255]),
  };
  assertEquals(added.value, value);
  await browser.text(".row", '"all"');

  // The expression that is edited stands for the same value.
  await browser.click("#edit");
  await browser.click("#save");
  await browser.text("#edit");
  assertEquals((await studio.use((kv) => kv.get(added.key))).value, value);

  await browser.click("#edit");
  await browser.fill("textarea", "{ unfinished");
  await browser.click("#save");
  await browser.text("#error", "expected");
  await browser.fill("textarea", '"changed"');
  await browser.fill('[name="expiry"]', "3600");
  await browser.click("#save");
  await browser.text("#detail .value", '"changed"');
  await browser.text(".row", '"changed"');
  assertEquals((await studio.use((kv) => kv.get(added.key))).value, "changed");

  await browser.click("#delete");
  await browser.click("#confirm button", "Cancel");
  assertEquals((await studio.use((kv) => kv.get(added.key))).value, "changed");
  await browser.click("#delete");
  await browser.text("#confirm-text", 'Delete ["all", ');
  await browser.click("#confirm button", "Delete");
  await browser.until("document.querySelector('#detail').hidden");
  assertEquals((await studio.use((kv) => kv.get(added.key))).versionstamp, null);

  // An added key that exists is a conflict.
  await browser.click("#add");
  await browser.fill('[name="key"]', '["config"]');
  await browser.fill("textarea", "2");
  await browser.click("#save");
  await browser.text("#stored", '"a"');
  await browser.text("#mine", "2");
  await browser.click("#keep");
  await browser.text("#detail .value", '"a"');

  await setFilter(browser, '["visits"] ..');
  await browser.click(".row", '"visits"');
  await browser.fill('[name="sum"]', "40");
  await browser.click("button#sum");
  await browser.text("#detail .value", "new Deno.KvU64(42n)");

  await setFilter(browser, '["users", 1n] .. ["v"]');
  await browser.text("#summary", "300 entries");
  await browser.click("#delete-range");
  await browser.click("#confirm button", "Cancel");
  await browser.click("#delete-range");
  await browser.text("#confirm-text", "300");
  await browser.click("#confirm button", "Delete");
  await browser.text("#summary", "No entries");
  const rest = await studio.use((kv) => Array.fromAsync(kv.list({ prefix: [] }), ({ key }) => key));
  assertEquals(rest, [["config"], ["users", 0n], ["visits"]]);
  assertEquals(await browser.console(), []);
});

test("the expiry of entries is shown, counted down, and kept by edits", async (driver) => {
  const hour = 3_600_000;
  await using studio = await Studio.start(async (kv) => {
    await kv.set(["kept"], new RangeError("far"), { expireIn: 5 * hour });
    await kv.set(["forever"], 1);
  });
  const browser = await driver.open();
  await browser.go(studio.address);
  await browser.text(".row .expires", "in 4 h ");
  assertEquals((await browser.texts(".row .expires")).length, 2);
  await browser.click(".row", '"forever"');
  await browser.text("#detail dd", "never");
  await browser.click(".row", '"kept"');
  await browser.text("#detail dd", "in 4 h ");
  const expiresAt = async () => (await studio.use((kv) => kv.getExpiries([["kept"]])))[0].expiresAt ?? 0;
  const first = await expiresAt();
  // It is the one of the clock that the page shows.
  assertEquals(await browser.run("return Date.parse(document.querySelector('#detail time').dateTime)"), first);

  // A value that is not edited is stored as it was, with the stack of an error.
  const stack = async () => (await studio.use((kv) => kv.get<Error>(["kept"]))).value?.stack;
  const created = await stack();
  await browser.click("#edit");
  await browser.click("#save");
  await browser.text("#edit");
  assertEquals([await stack(), created?.includes("    at ")], [created, true]);
  await browser.click("#edit");
  await browser.fill("textarea", '"edited"');
  await browser.click("#save");
  await browser.text("#detail .value", '"edited"');
  // But for the time between two readings of the clock.
  assertEquals(Math.abs(await expiresAt() - first) < hour / 60, true);

  for (const [text, shown] of [["2030-01-01T00:00:00Z", "01/01/2030"], ["864000", "in 9 d 23 h"], ["", "never"]]) {
    await browser.click("#edit");
    await browser.fill('[name="expiry"]', text);
    await browser.click("#save");
    await browser.text("#detail dd", shown);
  }
  assertEquals(await expiresAt(), 0);
  await browser.click("#edit");
  await browser.fill('[name="expiry"]', "soon");
  await browser.click("#save");
  await browser.text("#error", "neither a number of seconds nor a date");

  // The entry goes by itself.
  await browser.fill('[name="expiry"]', "6");
  await browser.click("#save");
  await browser.text("#detail", "There is no entry with this key.");
  await browser.text(".row.deleted", '"kept"');
  assertEquals(await browser.console(), []);
});

test("the entries of a filter are exported, and imported elsewhere", async (driver) => {
  const fill = async (kv: Deno.Kv) => {
    for (const [name, value] of VALUES) await kv.set(["value", name], value);
    for (let i = 0; i < 1500; i++) kv.set(["number", i], i);
    await kv.set(["value", "blob"], new Blob(["x"]));
  };
  await using from = await Studio.start(fill);
  await using to = await Studio.start((kv) => kv.set(["value", "string"], "kept"));
  const browser = await driver.open(1280, 800, from.directory);
  await browser.go(from.address);
  await browser.text("#summary", "1,520 entries");
  await browser.click("#export");
  await browser.text("#summary", "Exported 1,519 entries, without 1 that");
  await browser.go(to.address);
  const file = `${from.directory}/entries.ndjson`;
  for (
    const [existing, message] of [["keep", "Imported 1,518 entries, kept 1"], ["replace", "Imported 1,519 entries"]]
  ) {
    await browser.click("#import");
    await browser.text("#import-dialog");
    await browser.type("#import-file", file);
    await browser.run("document.querySelector('#import-existing').value = arguments[0]", existing);
    await browser.click("#import-dialog button.primary");
    await browser.text("#summary", message);
    assertEquals((await to.use((kv) => kv.get(["value", "string"]))).value, existing === "keep" ? "kept" : "text");
  }
  const imported = await to.use((kv) =>
    Array.fromAsync(kv.list({ prefix: ["value"] }), ({ key, value }) => [key[1], value])
  );
  assertEquals(imported, VALUES.map(([name, value]) => [name, value]).sort(([a], [b]) => (a! < b! ? -1 : 1)));

  await Deno.writeTextFile(
    file,
    '{"key":[{"type":"string","value":"a"}],"value":{"type":"null","value":null}}\n\n{"key":1}\n',
  );
  await browser.click("#import");
  await browser.type("#import-file", file);
  await browser.click("#import-dialog button.primary");
  await browser.text("#error", "failed to import line 3: ");
});

test("two browsers that edit one key see both values", async (driver) => {
  await using studio = await Studio.start((kv) => kv.set(["shared"], "first"));
  const [one, two] = [await driver.open(), await driver.open()];
  for (const browser of [one, two]) {
    await browser.go(studio.address);
    await browser.click(".row", '"shared"');
    await browser.click("#edit");
  }
  await one.fill("textarea", '"one"');
  await two.fill("textarea", '"two"');
  await one.click("#save");
  await one.text("#detail .value", '"one"');
  await two.text(".note", "changed meanwhile");
  await two.click("#save");
  await two.text("#mine", '"two"');
  await two.text("#stored", '"one"');
  assertEquals((await studio.use((kv) => kv.get(["shared"]))).value, "one");
  await two.click("#overwrite");
  await two.text("#detail .value", '"two"');
  // The other one sees the change.
  await one.text("#detail .value", '"two"');
  await one.text(".row", '"two"');
  // The version to delete is the one that was shown when the dialog was opened.
  await two.click("#detail .close");
  await two.run("document.querySelector('#entries').focus()");
  await two.press(KEYS.delete);
  await two.text("#confirm-text", "shared");
  await one.click("#edit");
  await one.fill("textarea", '"three"');
  await one.click("#save");
  await two.text(".row", '"three"');
  await two.click("#confirm button", "Delete");
  await two.text("#mine", "deleted");
  await two.text("#stored", '"three"');
  await two.click("#overwrite");
  await one.text("#detail", "There is no entry");
});

test("changes of visible entries by other programs are shown", async (driver) => {
  await using studio = await Studio.start(fillUsers);
  const browser = await driver.open();
  await browser.go(studio.address);
  await browser.click(".row", '"users", 3n');
  await browser.text("#detail .value", '"user 3"');
  // The mark fades: wait for it from the beginning.
  const marked = browser.text(".row.changed", '"changed"');
  await studio.use(async (kv) => {
    await kv.set(["users", 3n], "changed");
    await kv.delete(["users", 4n]);
  });
  await marked;
  await browser.text("#detail .value", '"changed"');
  await browser.text(".row.deleted", '"users", 4n');
  await studio.use((kv) => kv.set(["users", 4n], "back"));
  await browser.text(".row:not(.deleted)", '"back"');
});

test("charts show where the data is", async (driver) => {
  await using studio = await Studio.start(async (kv) => {
    for (let i = 0; i < 4500; i++) kv.set(["number", i], new Uint8Array(4));
    await kv.set(["text"], new Uint8Array(50_000));
    await kv.enqueue("now");
    await kv.enqueue("later", { delay: 3_600_000 });
  });
  const browser = await driver.open();
  await browser.go(studio.address);
  await browser.click("#statistics");
  await browser.text("#detail .total", "4,501 entries, values of 66 KiB");
  const charts = await browser.run(
    "return [...document.querySelectorAll('.chart')].map((chart) => chart.innerText.split('\\n'))",
  );
  assertEquals(charts, [
    ['"number"', "4,500", '"text"', "1"],
    ['"text"', "49 KiB", '"number"', "18 KiB"],
    ["4 B to 8 B", "4,500", "32 KiB to 64 KiB", "1"],
  ]);
  await browser.text("#detail dd", "2, 1 due");
  // An entry takes its place.
  await browser.click(".row", '"number", 1');
  await browser.text("#detail h2", '"number", 1');
});

test("messages of the queue and writes are shown while they change", async (driver) => {
  await using studio = await Studio.start(async (kv) => {
    await kv.enqueue({ task: "later" }, { delay: 3_600_000, backoffSchedule: [1], keysIfUndelivered: [["failed"]] });
  });
  const browser = await driver.open();
  await browser.go(studio.address);
  await browser.click("#queue");
  await browser.text(".message", "later");
  await browser.text(".message .state", "due ");
  await browser.text(".message", "up to 1 more retries");
  await browser.text(".message", 'If undelivered: ["failed"]');
  await studio.use(async (kv) => {
    const { promise, resolve } = Promise.withResolvers<void>();
    kv.listenQueue(async () => {
      await browser.text(".message .state", "in flight");
      resolve();
    });
    await kv.enqueue("now");
    await promise;
    // The writes are counted.
    for (let i = 0; i < 10; i++) await kv.set(["write"], i);
  });
  await browser.until("[...document.querySelectorAll('.column')].some((column) => parseFloat(column.title) > 0)");
  await browser.until("document.querySelectorAll('.message').length === 1");
  await browser.click("#detail .close");
  await browser.until("document.querySelector('#detail').hidden");
});

test("a read-only studio offers no changes", async (driver) => {
  await using studio = await Studio.start(fillUsers, "--read-only");
  const browser = await driver.open();
  await browser.go(studio.address);
  await browser.text(".badge", "read-only");
  await browser.click(".row", '"config"');
  await browser.text("#detail .value", '"a"');
  await browser.press("n", "e");
  const controls = "[...document.querySelectorAll('.writes, #edit, #delete, #sum, form.editor')]";
  assertEquals(await browser.run(`return ${controls}.filter((found) => found.checkVisibility()).length`), 0);
});

test("the page is used with the keyboard", async (driver) => {
  await using studio = await Studio.start(fillUsers);
  const browser = await driver.open();
  await browser.go(studio.address);
  await browser.text(".row");
  await browser.press("/");
  await browser.type("#filter", `["users"]${KEYS.enter}`);
  await browser.text("#summary", "301 entries");
  await browser.run("document.querySelector('#entries').focus()");
  await browser.press(KEYS.down, KEYS.down);
  await browser.text(".row.active", '"users", 1n');
  await browser.press(KEYS.enter);
  await browser.text("#detail .value", '"user 1"');
  await browser.press("e");
  await browser.until("document.activeElement.tagName === 'TEXTAREA'");
  await browser.press(KEYS.escape);
  await browser.until("document.querySelector('#detail').hidden");
  await browser.run("document.querySelector('#entries').focus()");
  await browser.press(KEYS.end);
  await browser.text(".row.active", '"users", 299n');
  await browser.press(KEYS.home);
  await browser.text(".row.active", '"users", 0n');
  await browser.press(KEYS.delete);
  await browser.click("#confirm button", "Delete");
  await browser.text(".row.deleted", '"users", 0n');
  await browser.run("document.querySelector('#tree .node').focus()");
  await browser.press(KEYS.down, KEYS.right);
  await browser.text("#tree .node", "99n");
  await browser.press(KEYS.down, KEYS.enter);
  await browser.text("#detail .value", '"user 1"');
});

test("the page fits a narrow window, and follows the colors of the system", async (driver) => {
  await using studio = await Studio.start(fillUsers);
  const browser = await driver.open();
  const backgrounds = [];
  for (const scheme of ["light", "dark"] as const) {
    await browser.emulate(scheme, 400, 700);
    await browser.go(studio.address);
    await browser.text(".row");
    assertEquals(await browser.run("return document.documentElement.scrollWidth"), 400);
    backgrounds.push(await browser.run("return getComputedStyle(document.body).backgroundColor"));
  }
  assertEquals(backgrounds[0] === backgrounds[1], false);
  await browser.click("#menu");
  await browser.click("#tree .node", '"users"');
  await browser.text("#summary", "301 entries");
  await browser.click(".row", '"users", 1n');
  await browser.text("#detail .value", '"user 1"');
  assertEquals(await browser.run("return document.documentElement.scrollWidth"), 400);
  // The chosen colors are kept.
  await browser.click("#detail .close");
  await browser.click("#theme");
  await browser.go(studio.address);
  await browser.text("#theme", "Light");
  assertEquals(await browser.run("return getComputedStyle(document.body).backgroundColor"), backgrounds[0]);
});

test("a wrong token is explained", async (driver) => {
  await using studio = await Studio.start(fillUsers);
  const browser = await driver.open();
  await browser.go(`${studio.address.slice(0, -1)}x`);
  await browser.text("#error", "the token is missing or wrong");
  assertEquals(await browser.texts(".row"), []);
});

test("a million entries are shown in bounded memory", async (driver) => {
  const count = 1_000_000;
  await using studio = await Studio.start(async (kv) => {
    for (let i = 0; i < count; i += 1000) {
      const atomic = kv.atomic();
      for (let j = i; j < i + 1000; j++) atomic.set(["entry", j], j);
      await atomic.commit();
    }
  });
  const browser = await driver.open();
  await browser.go(studio.address);
  await browser.text(".row", '"entry", 0');
  const painted = await browser.run("return performance.getEntriesByName('first-contentful-paint')[0].startTime");
  console.log(`first paint after ${Math.round(painted)} ms`);
  const before = await browser.heapSize();
  await browser.text("#summary", "1,000,000 entries");
  await browser.text("#tree .node .count", "1,000,000");

  // Down by scrolling through several windows, and back.
  for (const [position, last] of [["entries.scrollHeight", '"entry", 3000'], ["0", '"entry", 0']]) {
    await browser.until(
      `(() => {
        const entries = document.querySelector('#entries');
        entries.scrollTop = ${position};
        return [...document.querySelectorAll('.row .key')].some((key) => key.textContent === arguments[0]);
      })()`,
      last,
    );
    assertEquals((await browser.run("return document.querySelectorAll('.row').length")) <= 500, true);
  }
  await browser.run("document.querySelector('#entries').focus()");
  await browser.press(KEYS.end);
  await browser.text(".row.active", `"entry", ${count - 1}`);
  await browser.press(KEYS.up);
  await browser.text(".row.active", `"entry", ${count - 2}`);
  const grown = await browser.heapSize() - before;
  if (grown > 20_000_000) throw new Error(`the heap has grown by ${grown} bytes`);
  assertEquals(await browser.console(), []);
});
