// Writes the screenshots of docs/studio.md to the directory that is its argument.

import { type Browser, Driver } from "../../../tests/studio/browser.ts";
import { Studio } from "../../../tests/studio/studio.ts";

const [WIDTH, HEIGHT] = [1200, 720];
const MONTH = 30 * 24 * 60 * 60 * 1000;
const NAMES = [
  "Ada Lovelace",
  "Grace Hopper",
  "Alan Turing",
  "Katherine Johnson",
  "Edsger Dijkstra",
  "Barbara Liskov",
  "Margaret Hamilton",
];
const [directory] = Deno.args;

await Deno.mkdir(directory, { recursive: true });
await using driver = await Driver.start();
await using studio = await Studio.start(fill);
const browser = await driver.open(WIDTH, HEIGHT);

await browser.emulate("light", WIDTH, HEIGHT);
await browser.go(studio.address);
await browser.click("#tree .node", '"users"');
await browser.text("#tree .node .count", "500");
await browser.click(".row", '"users", 3n');
await browser.text("#detail .value", "Katherine Johnson");
await save(browser, "studio.png");

await browser.emulate("dark", WIDTH, HEIGHT);
await browser.click("#edit");
await browser.text("textarea");
await studio.use((kv) => kv.set(["users", 3n], { name: "Katherine Johnson", email: "katherine@example.com" }));
await browser.text(".note");
await browser.click("#save");
await browser.text(".conflict");
await save(browser, "studio-conflict.png");

await browser.emulate("light", 400, HEIGHT);
await browser.go(studio.address);
await browser.text("#summary", "entries");
await save(browser, "studio-narrow.png");

async function save(browser: Browser, name: string): Promise<void> {
  // The mark of a changed entry fades.
  await browser.until("document.querySelector('.changed') === null");
  await Deno.writeFile(`${directory}/${name}`, await browser.screenshot());
}

async function fill(kv: Deno.Kv): Promise<void> {
  for (let i = 1n; i <= 500n; i++) {
    const name = NAMES[Number(i) % NAMES.length];
    kv.set(["users", i], {
      name,
      email: `user${i}@example.com`,
      born: new Date(Date.UTC(1900 + Number(i) % 90, Number(i) % 12, 3)),
      roles: new Set(["admin", "editor"].slice(Number(i) % 2)),
      visits: i * i,
    }, i % 4n === 3n ? { expireIn: MONTH } : {});
  }
  for (let i = 0; i < 300; i++) {
    kv.set(["orders", 2024 + i % 3, `order-${i}`], { total: Math.round(i * 199.5) / 10, paid: i % 3 > 0 });
  }
  kv.set(["counters", "visits"], new Deno.KvU64(48213n));
  kv.set(["counters", "sign-ups"], new Deno.KvU64(512n));
  kv.set(["files", "note.txt"], new TextEncoder().encode("Text as bytes"));
  await kv.set(["settings"], new Map([["theme", "dark"]]));
}
