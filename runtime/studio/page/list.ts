// The list of entries. It has a window of the entries around those that are visible, and reads pages before and after it while
// it is scrolled: its memory does not depend on the size of the database.

import type { EncodedKey, EncodedSelector, Row } from "../protocol.ts";
import { list } from "./api.ts";
import { create, formatSize, report, span } from "./dom.ts";
import { showTimeLeft } from "./expiry.ts";
import { showKey } from "./value.ts";

/** The maximum number of entries in the window. */
const WINDOW = 500;
/** The distance from an end of the window, in heights of the list, at which the next page is read. */
const MARGIN = 2;
const HIGHLIGHT_TIME = 1500;

interface Events {
  onOpen: (row: Row) => void;
  /** The visible entries have changed. */
  onVisible: () => void;
  onDelete: (row: Row) => void;
}

export class EntryList {
  #scroller: HTMLElement;
  #events: Events;
  #rows: { row: Row; element: HTMLElement }[] = [];
  #selector: EncodedSelector = { prefix: [] };
  #hasBefore = false;
  #hasAfter = false;
  #isLoading = false;
  /** The number of times that the window was reset: a page that was requested before is discarded. */
  #resets = 0;
  #active: string | undefined;
  #frame = 0;

  constructor(scroller: HTMLElement, events: Events) {
    this.#scroller = scroller;
    this.#events = events;
    scroller.addEventListener("scroll", () => {
      cancelAnimationFrame(this.#frame);
      this.#frame = requestAnimationFrame(() => this.#onScroll());
    });
    scroller.addEventListener("keydown", (event) => this.#onKey(event));
  }

  /** Shows the entries of a selector, from a key or from the first. */
  async show(selector: EncodedSelector, from: EncodedKey | null = null): Promise<void> {
    this.#selector = selector;
    const reset = ++this.#resets;
    const page = await list(from ? { ...selector, start: from } : selector, null, false);
    // The entries before the key, which may be too close to the end to fill the list.
    const before = from ? await list(selector, from, true) : { rows: [], more: false };
    if (reset !== this.#resets) return;
    this.#reset([...before.rows.reverse(), ...page.rows], before.more, page.more);
    const first = this.#rows[before.rows.length] ?? this.#rows.at(-1);
    this.#scroller.scrollTop = first?.element.offsetTop ?? 0;
    this.#setActive(from ? this.#rows.find(({ row }) => sameKey(row.key, from))?.row : undefined);
  }

  /** Shows the first or the last entries of the selector. */
  async showEnd(last: boolean): Promise<void> {
    if (!last) {
      await this.show(this.#selector);
      this.#setActive(this.#rows[0]?.row);
      return;
    }
    const reset = ++this.#resets;
    const page = await list(this.#selector, null, true);
    if (reset !== this.#resets) return;
    this.#reset(page.rows.reverse(), page.more, false);
    this.#scroller.scrollTop = this.#scroller.scrollHeight;
    this.#setActive(this.#rows.at(-1)?.row);
  }

  /** Returns the entries that are in view. */
  visible(): Row[] {
    const { scrollTop, clientHeight } = this.#scroller;
    const inView = ({ element }: { element: HTMLElement }) =>
      element.offsetTop + element.offsetHeight > scrollTop && element.offsetTop < scrollTop + clientHeight;
    return this.#rows.filter(inView).map(({ row }) => row);
  }

  get isEmpty(): boolean {
    return this.#rows.length === 0;
  }

  /** Updates the entry of a key, which may have been deleted, and marks it as changed. */
  update(key: EncodedKey, row: Row | null): void {
    const item = this.#rows.find((item) => sameKey(item.row.key, key));
    if (!item || (row && item.row.versionstamp === row.versionstamp)) return;
    item.element.classList.toggle("deleted", row === null);
    if (row) {
      item.row = row;
      item.element.replaceChildren(...cells(row));
    } else {
      item.row = { ...item.row, versionstamp: "" };
    }
    item.element.classList.add("changed");
    setTimeout(() => item.element.classList.remove("changed"), HIGHLIGHT_TIME);
  }

  /** Marks the entry that is shown in detail. */
  setSelected(key: EncodedKey | null): void {
    for (const { row, element } of this.#rows) {
      element.classList.toggle("selected", key !== null && sameKey(row.key, key));
    }
  }

  #reset(rows: Row[], hasBefore: boolean, hasAfter: boolean): void {
    [this.#hasBefore, this.#hasAfter, this.#isLoading] = [hasBefore, hasAfter, false];
    this.#rows = rows.map((row) => this.#create(row));
    this.#scroller.replaceChildren(...this.#rows.map(({ element }) => element));
    this.#onScroll();
  }

  #create(row: Row): { row: Row; element: HTMLElement } {
    const element = create(
      "div",
      { className: "row", role: "option", id: `row-${crypto.randomUUID()}` },
      ...cells(row),
    );
    const item = { row, element };
    element.addEventListener("click", () => {
      this.#setActive(item.row);
      this.#events.onOpen(item.row);
    });
    return item;
  }

  #onScroll(): void {
    const { scrollTop, clientHeight, scrollHeight } = this.#scroller;
    this.#events.onVisible();
    if (this.#hasAfter && scrollTop + clientHeight * (1 + MARGIN) > scrollHeight) report(() => this.#loadAfter());
    else if (this.#hasBefore && scrollTop < clientHeight * MARGIN) report(() => this.#loadBefore());
  }

  async #loadAfter(): Promise<void> {
    const page = await this.#load(this.#rows.at(-1)?.row.key, false);
    if (!page) return;
    this.#hasAfter = page.more;
    const added = page.rows.map((row) => this.#create(row));
    this.#rows.push(...added);
    this.#scroller.append(...added.map(({ element }) => element));
    const removed = this.#rows.splice(0, Math.max(0, this.#rows.length - WINDOW));
    this.#keepPosition(() => removed.forEach(({ element }) => element.remove()), this.#rows[0]?.element);
    this.#hasBefore ||= removed.length > 0;
    this.#onScroll();
  }

  async #loadBefore(): Promise<void> {
    const page = await this.#load(this.#rows[0]?.row.key, true);
    if (!page) return;
    this.#hasBefore = page.more;
    const added = page.rows.reverse().map((row) => this.#create(row));
    const first = this.#rows[0]?.element;
    this.#rows.unshift(...added);
    this.#keepPosition(() => this.#scroller.prepend(...added.map(({ element }) => element)), first);
    const removed = this.#rows.splice(WINDOW);
    removed.forEach(({ element }) => element.remove());
    this.#hasAfter ||= removed.length > 0;
    this.#onScroll();
  }

  async #load(from: EncodedKey | undefined, before: boolean) {
    if (this.#isLoading) return null;
    this.#isLoading = true;
    const reset = this.#resets;
    try {
      const page = await list(this.#selector, from ?? null, before);
      return reset === this.#resets ? page : null;
    } finally {
      if (reset === this.#resets) this.#isLoading = false;
    }
  }

  /** Makes a change above the visible entries without moving them. */
  #keepPosition(change: () => void, element: HTMLElement | undefined): void {
    const { scrollTop } = this.#scroller;
    const before = element?.offsetTop ?? 0;
    change();
    this.#scroller.scrollTop = scrollTop + (element?.offsetTop ?? 0) - before;
  }

  #setActive(row: Row | undefined): void {
    this.#active = row && JSON.stringify(row.key);
    for (const item of this.#rows) {
      const isActive = item.row === row;
      item.element.classList.toggle("active", isActive);
      if (!isActive) continue;
      this.#scroller.setAttribute("aria-activedescendant", item.element.id);
      item.element.scrollIntoView({ block: "nearest" });
    }
  }

  #onKey(event: KeyboardEvent): void {
    const index = this.#rows.findIndex(({ row }) => JSON.stringify(row.key) === this.#active);
    const height = this.#rows[0]?.element.offsetHeight ?? 1;
    const inPage = Math.max(1, Math.floor(this.#scroller.clientHeight / height) - 1);
    const steps: Record<string, number> = { ArrowDown: 1, ArrowUp: -1, PageDown: inPage, PageUp: -inPage };
    const active = this.#rows[index]?.row;
    if (Object.hasOwn(steps, event.key)) {
      const next = Math.min(Math.max(index + steps[event.key], 0), this.#rows.length - 1);
      this.#setActive(this.#rows[next]?.row);
    } else if (event.key === "Home" || event.key === "End") {
      report(() => this.showEnd(event.key === "End"));
    } else if (event.key === "Enter" && active) {
      this.#events.onOpen(active);
    } else if (event.key === "Delete" && active) {
      this.#events.onDelete(active);
    } else {
      return;
    }
    event.preventDefault();
  }
}

function cells({ key, type, preview, size, expiresAt }: Row): HTMLElement[] {
  const value = span(`preview t-${type}`, preview);
  const expiry = span("expires", typeof expiresAt === "number" && showTimeLeft(expiresAt));
  return [showKey(key), value, span("type", type), expiry, span("size", formatSize(size))];
}

export function sameKey(a: EncodedKey, b: EncodedKey): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}
