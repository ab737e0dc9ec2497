// The panel of an entry: its value, and the form that changes it.

import { parseExpiry, parseKey, parseValue } from "../parse.ts";
import { print, printKey, printTime } from "../print.ts";
import type { EncodedKey, Entry, Result, Row, Write } from "../protocol.ts";
import { commit, read } from "./api.ts";
import { button, confirmDelete, create, fact, formatSize, report, span } from "./dom.ts";
import { formatTime, showTimeLeft } from "./expiry.ts";
import { sameKey } from "./list.ts";
import { showKey, showValue } from "./value.ts";

interface Events {
  /** The panel shows another entry, or none. */
  onShow: (key: EncodedKey | null) => void;
  /** An entry was written: its key was added or deleted. */
  onWrite: (key: EncodedKey, row: Row | null, isNew: boolean) => void;
}

export class Detail {
  #panel: HTMLElement;
  #events: Events;
  #readOnly: boolean;
  #entry: Entry | null = null;
  #isEditing = false;
  /** Aborted when the panel shows something else. */
  #shown = new AbortController();

  constructor(panel: HTMLElement, readOnly: boolean, events: Events) {
    this.#panel = panel;
    this.#readOnly = readOnly;
    this.#events = events;
    panel.addEventListener("keydown", (event) => {
      if (event.key === "Escape") this.close();
    });
  }

  get entry(): Entry | null {
    return this.#entry;
  }

  async open(key: EncodedKey): Promise<void> {
    this.#show(await read(key));
  }

  /** Shows the state of the database, kept current by a function until the panel shows something else. */
  async showState(title: string, show: (panel: HTMLElement, signal: AbortSignal) => Promise<void>): Promise<void> {
    this.close();
    const content = create("div", { className: "charts" });
    this.#present(create("h2", {}, title), content);
    await show(content, this.#shown.signal);
  }

  close(): void {
    this.#shown.abort();
    this.#entry = null;
    this.#isEditing = false;
    this.#panel.hidden = true;
    this.#events.onShow(null);
  }

  /** Shows a changed version of the entry, unless it is being edited: then the change is found when it is saved. */
  async refresh(key: EncodedKey): Promise<void> {
    if (!this.#entry || !sameKey(this.#entry.key, key)) return;
    const entry = await read(key);
    if (!this.#entry || !sameKey(this.#entry.key, key)) return;
    if (entry.row?.versionstamp === this.#entry.row?.versionstamp) return;
    if (this.#isEditing) this.#note("The entry has been changed meanwhile.");
    else this.#show(entry);
  }

  /** Shows the form of a new entry, with the beginning of its key. */
  add(prefix: EncodedKey): void {
    this.#entry = null;
    this.#isEditing = true;
    const key = create("input", {
      className: "expression",
      name: "key",
      value: printKey(prefix),
      spellcheck: false,
      required: true,
    });
    const form = this.#form('""', null, async (value, expiresAt) => {
      const write: Write = {
        type: "set",
        key: parseKey(key.value),
        versionstamp: null,
        value: parseValue(value),
        expiresAt,
      };
      await this.#write(write);
    });
    form.prepend(create("label", {}, "Key", key));
    this.#present(create("h2", {}, "New entry"), form);
    key.focus();
    key.setSelectionRange(key.value.length - 1, key.value.length - 1);
  }

  edit(): void {
    const entry = this.#entry;
    if (this.#readOnly || !entry?.row || !entry.value || entry.value.type === "opaque") return;
    const { key, value, row: { versionstamp, expiresAt = null } } = entry;
    this.#isEditing = true;
    const printed = print(value);
    const form = this.#form(printed, expiresAt, (text, expiresAt) => {
      // An expression does not have all of a value, such as the stack of an error.
      const edited = text === printed ? value : parseValue(text);
      return this.#write({ type: "set", key, versionstamp, value: edited, expiresAt });
    });
    this.#present(create("h2", {}, showKey(key)), form);
    form.querySelector("textarea")?.focus();
  }

  /** Asks, and then deletes an entry. */
  delete(key: EncodedKey, versionstamp: string): void {
    confirmDelete(printKey(key), () => this.#write({ type: "delete", key, versionstamp }));
  }

  #show(entry: Entry): void {
    this.#entry = entry;
    this.#isEditing = false;
    const { key, row, value } = entry;
    const heading = create("h2", {}, showKey(key));
    this.#events.onShow(key);
    if (!row || !value) {
      this.#present(heading, create("p", { className: "muted" }, "There is no entry with this key."));
      return;
    }
    const facts = create(
      "dl",
      { className: "facts" },
      ...fact("Type", row.type),
      ...fact("Size", formatSize(row.size)),
      ...fact("Versionstamp", row.versionstamp),
      ...fact("Expires", ...showExpiry(row)),
    );
    const actions = create(
      "div",
      { className: "actions" },
      button("Copy key", () => navigator.clipboard.writeText(printKey(key))),
      button("Copy value", () => navigator.clipboard.writeText(print(value))),
    );
    if (!this.#readOnly) {
      actions.prepend(button("Edit", () => this.edit(), { id: "edit", disabled: value.type === "opaque" }));
      actions.append(
        button("Delete", () => this.delete(key, row.versionstamp), { id: "delete", className: "danger" }),
      );
      if (row.type === "KvU64") actions.append(this.#sum(key, row.versionstamp));
    }
    this.#present(heading, facts, actions, create("div", { className: "value" }, showValue(value)));
  }

  /** Returns the form that adds a number to a KvU64. */
  #sum(key: EncodedKey, versionstamp: string): HTMLElement {
    const summand = create("input", {
      name: "sum",
      value: "1",
      inputMode: "numeric",
      pattern: "\\d+",
      ariaLabel: "Number to add",
    });
    const form = create("form", { className: "sum" }, summand, create("button", { id: "sum" }, "Add"));
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      report(() => this.#write({ type: "sum", key, versionstamp, value: summand.value }));
    });
    return form;
  }

  /** Returns the form of a value, which calls a function with its text and the time at which it expires. */
  #form(
    text: string,
    expiresAt: number | null,
    onSave: (text: string, expiresAt: number | undefined) => Promise<void>,
  ): HTMLFormElement {
    const value = create("textarea", {
      className: "expression",
      name: "value",
      value: text,
      rows: 12,
      spellcheck: false,
    });
    const expiry = create("input", {
      name: "expiry",
      value: expiresAt === null ? "" : printTime(expiresAt),
      placeholder: "never",
      spellcheck: false,
    });
    const form = create(
      "form",
      { className: "editor" },
      create("label", {}, "Value, as a JavaScript expression", value),
      create("label", { className: "expiry" }, "Expires", expiry, "seconds from now, or a date"),
      create(
        "div",
        { className: "actions" },
        create("button", { id: "save", className: "primary" }, "Save"),
        button("Cancel", () => this.#entry ? this.#show(this.#entry) : this.close(), { id: "cancel" }),
      ),
    );
    const submit = () => report(() => onSave(value.value, parseExpiry(expiry.value)));
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      submit();
    });
    value.addEventListener("keydown", (event) => {
      if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) submit();
    });
    return form;
  }

  async #write(write: Write): Promise<void> {
    const result: Result = await commit([write]);
    if (!result.ok) {
      this.#showConflict(write, result.stored[0]);
      return;
    }
    const entry = await read(write.key);
    this.#isEditing = false;
    this.#events.onWrite(write.key, entry.row, write.versionstamp === null);
    if (write.type === "delete") this.close();
    else this.#show(entry);
  }

  /** Shows the value that was to be written and the one that is stored. */
  #showConflict(write: Write, stored: Entry | undefined): void {
    // The panel may show another entry, or none.
    if (write.type === "delete") this.#show(stored ?? { key: write.key, row: null, value: null });
    this.#panel.querySelectorAll(".conflict, .note").forEach((old) => old.remove());
    // The entry may have got its version back, as by a restored backup.
    const versionstamp = stored ? stored.row?.versionstamp ?? null : write.versionstamp;
    const mine = write.type === "set"
      ? showValue(write.value)
      : span("muted", write.type === "delete" ? "deleted" : `+ ${write.value}`);
    const theirs = stored?.value ? showValue(stored.value) : span("muted", "deleted");
    const conflict = create(
      "section",
      { className: "conflict", role: "alert" },
      create("h3", {}, "The entry has been changed meanwhile"),
      create("div", { className: "sides" }, side("Yours", mine, "mine"), side("Stored", theirs, "stored")),
      create(
        "div",
        { className: "actions" },
        button("Write yours", () => report(() => this.#write({ ...write, versionstamp })), {
          id: "overwrite",
          className: "danger",
        }),
        button("Keep stored", () => report(() => this.open(write.key)), { id: "keep" }),
      ),
    );
    this.#panel.querySelector(".heading")?.after(conflict);
    conflict.scrollIntoView({ block: "nearest" });
  }

  #note(text: string): void {
    this.#panel.querySelector(".note")?.remove();
    this.#panel.querySelector(".editor")?.before(create("p", { className: "note", role: "status" }, text));
  }

  #present(heading: HTMLElement, ...content: HTMLElement[]): void {
    this.#shown.abort();
    this.#shown = new AbortController();
    const close = button("\u00d7", () => this.close(), { className: "close", ariaLabel: "Close" });
    this.#panel.replaceChildren(create("div", { className: "heading" }, heading, close), ...content);
    this.#panel.hidden = false;
  }
}

/** Shows when an entry expires, and how long it is until then. */
function showExpiry({ expiresAt }: Row): (string | HTMLElement)[] {
  if (expiresAt === undefined) return ["unknown to this server"];
  return expiresAt === null ? ["never"] : [`${formatTime(expiresAt)}, `, showTimeLeft(expiresAt)];
}

function side(title: string, value: HTMLElement, id: string): HTMLElement {
  return create("div", { id }, create("h4", {}, title), value);
}
