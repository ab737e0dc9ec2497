// How long it is until entries expire, which is kept current.

import { printTime } from "../print.ts";
import { create } from "./dom.ts";

/** The units of a duration, in milliseconds. */
const UNITS = { d: 86_400_000, h: 3_600_000, min: 60_000, s: 1000 };

/** The interval between two updates, in milliseconds. */
const INTERVAL = 1000;

/** Shows how long it is until a time. */
export function showTimeLeft(time: number): HTMLElement {
  const title = `Expires ${formatTime(time)}`;
  return create("time", { className: "left", dateTime: printTime(time), title }, formatTimeLeft(time));
}

/** Updates all times that are shown, from now on. */
export function keepTimesCurrent(): void {
  setInterval(() => {
    for (const shown of document.querySelectorAll<HTMLTimeElement>("time.left")) {
      shown.textContent = formatTimeLeft(Date.parse(shown.dateTime));
    }
  }, INTERVAL);
}

export function formatTime(time: number): string {
  return new Date(printTime(time)).toLocaleString("en-GB");
}

/** Returns a duration in its two largest units, such as "in 1 h 59 min". */
function formatTimeLeft(time: number): string {
  let left = time - Date.now();
  if (left <= 0) return "expired";
  const parts = [];
  for (const [name, size] of Object.entries(UNITS)) {
    const count = Math.floor(left / size);
    left -= count * size;
    if (count > 0) parts.push(`${count} ${name}`);
    // Nothing smaller than the unit after the largest one.
    if (parts.length > 0 && (count === 0 || parts.length === 2)) break;
  }
  return parts.length > 0 ? `in ${parts.join(" ")}` : "in less than 1 s";
}
