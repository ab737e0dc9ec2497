// The tree of keys: a level for each part. A level is read when it is opened, and counted when it is visible.

import type { Child, EncodedKey } from "../protocol.ts";
import { count, listChildren } from "./api.ts";
import { button, create, formatNumber, report, span } from "./dom.ts";
import { showPart } from "./value.ts";

interface Node extends Child {
  key: EncodedKey;
  row: HTMLElement;
  group: HTMLElement;
}

export class Tree {
  #root: HTMLElement;
  #onSelect: (key: EncodedKey, child: Child) => void;
  #nodes = new WeakMap<Element, Node>();
  #selected: HTMLElement | undefined;
  /** Nodes to count, one at a time: a count reads all keys of its range. */
  #uncounted: Node[] = [];
  #isCounting = false;
  #visible: IntersectionObserver;

  constructor(root: HTMLElement, onSelect: (key: EncodedKey, child: Child) => void) {
    this.#root = root;
    this.#onSelect = onSelect;
    this.#visible = new IntersectionObserver((changes) => {
      for (const { target, isIntersecting } of changes) {
        const node = this.#nodes.get(target);
        if (!isIntersecting || !node) continue;
        this.#visible.unobserve(target);
        this.#uncounted.push(node);
      }
      this.#countNext();
    });
    root.addEventListener("keydown", (event) => this.#onKey(event));
  }

  /** Shows the first level of the database. */
  async show(): Promise<void> {
    this.#visible.disconnect();
    this.#uncounted = [];
    this.#selected = undefined;
    this.#root.replaceChildren();
    await this.#load(this.#root, [], 1);
  }

  async #load(group: HTMLElement, prefix: EncodedKey, level: number): Promise<void> {
    const last = [...group.children].map((row) => this.#nodes.get(row)).findLast((node) => node !== undefined);
    const { children, more } = await listChildren(prefix, last?.part ?? null);
    for (const child of children) this.#append(group, prefix, child, level);
    if (!more) return;
    const next = button("More keys", () => {
      next.remove();
      return report(() => this.#load(group, prefix, level));
    }, { className: "link more" });
    group.append(next);
  }

  #append(parent: HTMLElement, prefix: EncodedKey, child: Child, level: number): void {
    const row = create(
      "div",
      {
        className: "node",
        tabIndex: parent === this.#root && !parent.firstChild ? 0 : -1,
        role: "treeitem",
        ariaLevel: String(level),
      },
      span(child.hasChildren ? "chevron" : "leaf"),
      showPart(child.part),
      span("count", child.hasChildren ? "\u2026" : ""),
    );
    row.style.setProperty("--level", String(level));
    const group = create("div", { className: "group", role: "group", hidden: true });
    const node = { ...child, key: [...prefix, child.part], row, group };
    this.#nodes.set(row, node);
    if (child.hasChildren) {
      row.ariaExpanded = "false";
      this.#visible.observe(row);
    }
    row.addEventListener("click", (event) => {
      this.#select(node);
      const isChevron = event.target instanceof Element && event.target.className === "chevron";
      if (child.hasChildren && (isChevron || group.hidden)) this.#toggle(node);
    });
    parent.append(row, group);
  }

  #select(node: Node): void {
    this.#selected?.classList.remove("selected");
    this.#selected = node.row;
    node.row.classList.add("selected");
    this.#focus(node.row);
    this.#onSelect(node.key, node);
  }

  #toggle({ key, row, group }: Node): void {
    group.hidden = !group.hidden;
    row.ariaExpanded = String(!group.hidden);
    if (!group.firstChild && !group.hidden) report(() => this.#load(group, key, key.length + 1));
  }

  #focus(row: HTMLElement): void {
    for (const other of this.#root.querySelectorAll<HTMLElement>('[role="treeitem"][tabindex="0"]')) {
      other.tabIndex = -1;
    }
    row.tabIndex = 0;
    row.focus({ preventScroll: false });
  }

  #onKey(event: KeyboardEvent): void {
    const row = event.target instanceof HTMLElement ? event.target : undefined;
    const node = row && this.#nodes.get(row);
    if (!node) return;
    const rows = [...this.#root.querySelectorAll<HTMLElement>('[role="treeitem"]')].filter((row) => row.offsetParent);
    const index = rows.indexOf(node.row);
    const parent = node.row.parentElement?.previousElementSibling;
    if (event.key === "ArrowDown") rows[index + 1] && this.#focus(rows[index + 1]);
    else if (event.key === "ArrowUp") rows[index - 1] && this.#focus(rows[index - 1]);
    else if (event.key === "ArrowRight" && node.hasChildren && node.group.hidden) this.#toggle(node);
    else if (event.key === "ArrowLeft" && !node.group.hidden) this.#toggle(node);
    else if (event.key === "ArrowLeft" && parent instanceof HTMLElement && this.#nodes.has(parent)) this.#focus(parent);
    else if (event.key === "Enter" || event.key === " ") this.#select(node);
    else return;
    event.preventDefault();
  }

  async #countNext(): Promise<void> {
    if (this.#isCounting) return;
    this.#isCounting = true;
    for (let node = this.#uncounted.shift(); node; node = this.#uncounted.shift()) {
      // The tree may show another database by now.
      if (!node.row.isConnected) continue;
      const number = await count({ prefix: node.key }).then(
        (count) => formatNumber(count + (node.isEntry ? 1 : 0)),
        () => "",
      );
      const shown = node.row.querySelector(".count");
      if (shown) shown.textContent = number;
    }
    this.#isCounting = false;
  }
}
