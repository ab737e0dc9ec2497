// Helpers for the elements of the page. Text of databases is only ever set as text, never as HTML.

type Child = Node | string | null | undefined | false;

/** Creates an element with properties, and children: nodes, or text. */
export function create<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  properties: Partial<HTMLElementTagNameMap[K]> & { data?: Record<string, string> } = {},
  ...children: Child[]
): HTMLElementTagNameMap[K] {
  const { data, ...others } = properties;
  const element = Object.assign(document.createElement(tag), others);
  Object.assign(element.dataset, data);
  element.append(...children.filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

export function span(className: string, ...children: Child[]): HTMLSpanElement {
  return create("span", { className }, ...children);
}

export function button(
  label: string,
  onclick: () => unknown,
  properties: Partial<HTMLButtonElement> = {},
): HTMLButtonElement {
  return create("button", { type: "button", onclick: () => void onclick(), ...properties }, label);
}

/** Creates a term and its description. */
export function fact(name: string, ...value: Child[]): HTMLElement[] {
  return [create("dt", {}, name), create("dd", {}, ...value)];
}

/** Returns an element of the page. */
export function element<T extends HTMLElement>(id: string, type: new () => T): T {
  const found = document.getElementById(id);
  if (!(found instanceof type)) throw new Error(`the page has no ${id}`);
  return found;
}

const numbers = new Intl.NumberFormat("en");

export function formatNumber(number: number): string {
  return numbers.format(number);
}

export function formatSize(bytes: number): string {
  if (bytes < 1024) return `${bytes} B`;
  const units = ["KiB", "MiB", "GiB", "TiB"];
  let [size, unit] = [bytes / 1024, 0];
  while (size >= 1024 && unit < units.length - 1) [size, unit] = [size / 1024, unit + 1];
  return `${size.toFixed(size < 10 ? 1 : 0)} ${units[unit]}`;
}

/** Shows an error, or clears the one that is shown. */
export function showError(error: unknown): void {
  const box = element("error", HTMLElement);
  box.hidden = error === null;
  box.textContent = error === null ? "" : error instanceof Error ? error.message : String(error);
}

/** Runs an action, and shows its error. */
export async function report(action: () => unknown): Promise<void> {
  try {
    showError(null);
    await action();
  } catch (error) {
    if (!(error instanceof DOMException && error.name === "AbortError")) showError(error);
  }
}

/** Shows a dialog, and runs an action if it is closed with a button. */
export function confirm(id: string, button: string, action: () => Promise<void>): void {
  const dialog = element(id, HTMLDialogElement);
  // Escape keeps the last value.
  dialog.returnValue = "";
  dialog.addEventListener("close", () => {
    if (dialog.returnValue === button) report(action);
  }, { once: true });
  dialog.showModal();
}

/** Asks whether to delete something. */
export function confirmDelete(what: string, action: () => Promise<void>): void {
  element("confirm-text", HTMLElement).textContent = `Delete ${what}?`;
  confirm("confirm", "delete", action);
}
