// The page of `openkv studio`.

import type { Database, EncodedKey, EncodedSelector, Row, Session } from "../protocol.ts";
import { count, deleteRange, getSession, useDatabase, watch } from "./api.ts";
import { confirm, confirmDelete, element, formatNumber, formatSize, report } from "./dom.ts";
import { Detail } from "./detail.ts";
import { keepTimesCurrent } from "./expiry.ts";
import { EntryList } from "./list.ts";
import { parseKey, parseSelector } from "../parse.ts";
import { printKey } from "../print.ts";
import { showQueue } from "./queue.ts";
import { showStatistics } from "./statistics.ts";
import { exportAll, importFile } from "./transfer.ts";
import { Tree } from "./tree.ts";

/** How long the list must rest before its visible entries are watched, in milliseconds. */
const REST = 150;
/** How long to wait before a watch that has ended is started again, in milliseconds. */
const RETRY = 2000;
const THEMES = ["light dark", "light", "dark"];

const filter = element("filter", HTMLInputElement);
const jump = element("jump", HTMLInputElement);
const summary = element("summary", HTMLElement);
const sidebar = element("sidebar", HTMLElement);

let selector: EncodedSelector = { prefix: [] };
let watching = new AbortController();
let rest = 0;

report(async () => {
  setTheme(localStorage.getItem("theme") ?? THEMES[0]);
  start(await getSession());
});

function start(session: Session): void {
  const list = new EntryList(element("entries", HTMLElement), {
    onOpen: (row) => report(() => detail.open(row.key)),
    onVisible: () => {
      clearTimeout(rest);
      rest = setTimeout(watchVisible, REST);
    },
    onDelete: (row) => {
      if (!session.readOnly && row.versionstamp) detail.delete(row.key, row.versionstamp);
    },
  });
  const detail = new Detail(element("detail", HTMLElement), session.readOnly, {
    onShow: (key) => {
      list.setSelected(key);
      document.body.classList.toggle("with-detail", key !== null);
      clearTimeout(rest);
      rest = setTimeout(watchVisible, REST);
    },
    onWrite: (key: EncodedKey, row: Row | null, isNew: boolean) => {
      list.update(key, row);
      if (isNew) report(() => Promise.all([list.show(selector, key), tree.show()]));
    },
  });
  const tree = new Tree(element("tree", HTMLElement), (key, child) => {
    sidebar.classList.remove("open");
    if (child.hasChildren) filter.value = printKey(key);
    report(async () => {
      if (child.hasChildren) await applyFilter();
      if (child.isEntry) await detail.open(key);
    });
  });
  const databases = element("databases", HTMLSelectElement);
  databases.append(
    ...session.databases.map((database, index) => new Option(describe(database, session), String(index))),
  );
  databases.addEventListener("change", () => report(showDatabase));
  document.body.classList.toggle("read-only", session.readOnly);
  listen();
  keepTimesCurrent();
  report(showDatabase);

  async function showDatabase() {
    useDatabase(databases.selectedIndex);
    databases.title = session.databases[databases.selectedIndex].path;
    detail.close();
    filter.value = "";
    document.title = `${databases.selectedOptions[0].text} - OpenKV Studio`;
    await showAll();
  }

  async function applyFilter() {
    selector = parseSelector(filter.value);
    await list.show(selector);
    await showSummary();
  }

  async function showSummary() {
    const counted = selector;
    summary.textContent = list.isEmpty ? "No entries" : "Counting\u2026";
    if (list.isEmpty) return;
    const number = await count(counted);
    if (counted === selector) summary.textContent = number === 1 ? "1 entry" : `${formatNumber(number)} entries`;
  }

  function listen() {
    onSubmit("filter-form", applyFilter);
    onSubmit("jump-form", async () => {
      const key = parseKey(jump.value);
      // It may be outside of the filter.
      filter.value = "";
      selector = { prefix: [] };
      await list.show(selector, key);
      element("entries", HTMLElement).focus();
      await showSummary();
    });
    onClick("add", () => detail.add(selector.prefix));
    onClick("delete-range", confirmDeleteRange);
    onClick("theme", () => setTheme(THEMES[(THEMES.indexOf(currentTheme()) + 1) % THEMES.length]));
    onClick("menu", () => sidebar.classList.toggle("open"));
    onClick("queue", () => detail.showState("Queue", showQueue));
    onClick("statistics", () => detail.showState("Statistics", showStatistics));
    onClick("export", async () => showMessage(await exportAll(selector, showMessage)));
    onClick("import", confirmImport);
    onClick("refresh", showAll);
    document.addEventListener("keydown", (event) => {
      const target = event.target instanceof Element ? event.target : null;
      if (target?.matches("input, textarea, select") || event.ctrlKey || event.metaKey || event.altKey) return;
      const actions: Record<string, () => unknown> = {
        "/": () => filter.select(),
        g: () => jump.select(),
        e: () => detail.edit(),
        n: () => !session.readOnly && detail.add(selector.prefix),
        Escape: () => detail.close(),
      };
      if (!Object.hasOwn(actions, event.key)) return;
      event.preventDefault();
      actions[event.key]();
    });
  }

  function showMessage(message: string) {
    summary.textContent = message;
  }

  /** Asks for a file, and imports it. */
  function confirmImport() {
    confirm("import-dialog", "import", async () => {
      const [file] = element("import-file", HTMLInputElement).files ?? [];
      if (!file) return;
      const replace = element("import-existing", HTMLSelectElement).value === "replace";
      try {
        const message = await importFile(file, replace, showMessage);
        await showAll();
        showMessage(message);
      } catch (error) {
        // The lines before it are imported.
        await showAll();
        throw error;
      }
    });
  }

  function showAll() {
    return Promise.all([applyFilter(), tree.show()]);
  }

  /** Asks, and then deletes all entries of the filter. */
  async function confirmDeleteRange() {
    const range = selector;
    const number = await count(range);
    const what = `${formatNumber(number)} entries of ${filter.value || "the whole database"}`;
    confirmDelete(what, async () => {
      let deleted = 0;
      for (let some = await deleteRange(range); some > 0; some = await deleteRange(range)) {
        deleted += some;
        showMessage(`Deleted ${formatNumber(deleted)} of ${formatNumber(number)}`);
      }
      detail.close();
      await showAll();
    });
  }

  /** Watches the visible entries and the one in detail. */
  async function watchVisible() {
    watching.abort();
    const { signal } = watching = new AbortController();
    const shown = list.visible().map(({ key, versionstamp }) => ({ key, versionstamp: versionstamp || null }));
    const { entry } = detail;
    if (entry) shown.push({ key: entry.key, versionstamp: entry.row?.versionstamp ?? null });
    if (shown.length === 0) return;
    const onChange = ({ key, row }: { key: EncodedKey; row: Row | null }) => {
      list.update(key, row);
      report(() => detail.refresh(key));
    };
    await watch(shown, onChange, signal).catch(() => undefined);
    if (signal.aborted) return;
    // The server has been stopped, or the database was closed.
    rest = setTimeout(watchVisible, RETRY);
  }
}

function describe({ path, script, size }: Database, { databases }: Session): string {
  const name = script ?? (databases.length === 1 ? path.slice(path.lastIndexOf("/") + 1) : path);
  return size === null ? name : `${name} (${formatSize(size)})`;
}

function onSubmit(id: string, action: () => unknown): void {
  element(id, HTMLFormElement).addEventListener("submit", (event) => {
    event.preventDefault();
    report(action);
  });
}

function onClick(id: string, action: () => unknown): void {
  element(id, HTMLButtonElement).addEventListener("click", () => report(action));
}

function currentTheme(): string {
  return document.documentElement.style.colorScheme || THEMES[0];
}

function setTheme(theme: string): void {
  document.documentElement.style.colorScheme = theme;
  localStorage.setItem("theme", theme);
  const button = element("theme", HTMLButtonElement);
  const name = theme === "light dark" ? "Auto" : theme === "light" ? "Light" : "Dark";
  button.textContent = name;
}
