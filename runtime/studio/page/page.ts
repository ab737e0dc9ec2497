// The page of `openkv studio`. Text of databases is only ever set as text, never as HTML.

interface Database {
  path: string;
  script: string | null;
  size: number | null;
}

interface Page {
  entries: { key: string; value: string; versionstamp: string }[];
  /** The cursor of the next page, or an empty string on the last one. */
  cursor: string;
}

const select = element("databases", HTMLSelectElement);
const rows = element("entries", HTMLElement);
const more = element("more", HTMLButtonElement);
const message = element("message", HTMLElement);
let cursor = "";

select.addEventListener("change", () => report(showDatabase));
more.addEventListener("click", () => report(showNextPage));
report(async () => {
  const databases: Database[] = await request("/api/databases");
  select.append(...databases.map((database, index) => new Option(describe(database), String(index))));
  await showDatabase();
});

async function showDatabase() {
  rows.replaceChildren();
  cursor = "";
  await showNextPage();
}

async function showNextPage() {
  const database = select.value;
  const parameters = new URLSearchParams({ database, ...(cursor && { cursor }) });
  const page: Page = await request(`/api/entries?${parameters}`);
  // Another database may have been selected meanwhile.
  if (select.value !== database) return;
  for (const { key, value, versionstamp } of page.entries) {
    const row = document.createElement("tr");
    row.title = `versionstamp ${versionstamp}`;
    row.append(cell(key), cell(value));
    rows.append(row);
  }
  cursor = page.cursor;
  more.hidden = cursor === "";
  message.textContent = rows.childElementCount === 0 ? "The database is empty." : "";
}

async function request<T>(path: string): Promise<T> {
  const response = await fetch(path, { headers: { authorization: `Bearer ${location.hash.slice(1)}` } });
  const body = await response.json();
  if (!response.ok) throw new Error(body.error);
  return body;
}

/** Runs an action, and shows its error. */
async function report(action: () => Promise<void>) {
  try {
    await action();
  } catch (error) {
    message.textContent = error instanceof Error ? error.message : String(error);
  }
}

function describe({ path, script, size }: Database): string {
  const name = script ?? path;
  return size === null ? name : `${name} (${new Intl.NumberFormat("en").format(size)} bytes)`;
}

function cell(text: string): HTMLTableCellElement {
  const cell = document.createElement("td");
  cell.textContent = text;
  return cell;
}

function element<T extends HTMLElement>(id: string, type: new () => T): T {
  const found = document.getElementById(id);
  if (!(found instanceof type)) throw new Error(`the page has no ${id}`);
  return found;
}
