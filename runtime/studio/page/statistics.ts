// Charts of the numbers and sizes of entries, and the state of the file. All entries are read for them, in steps that are shown.

import type { Encoded, EncodedKey, FileInfo } from "../protocol.ts";
import { getFileInfo, getStatistics } from "./api.ts";
import { create, fact, formatNumber, formatSize, span } from "./dom.ts";
import { showPart } from "./value.ts";

/** The number of parts that a chart shows. */
const MAX_BARS = 20;

interface Bar {
  label: HTMLElement;
  value: number;
}

/** Reads all entries, and shows charts, until the signal is aborted. */
export async function showStatistics(panel: HTMLElement, signal: AbortSignal): Promise<void> {
  const [file, charts] = [create("div"), create("div")];
  panel.replaceChildren(file, charts);
  const groups = new Map<string, { part: Encoded; entries: number; bytes: number }>();
  const sizes: number[] = [];
  let after: EncodedKey | null = null;
  do {
    const some = await getStatistics(after);
    if (signal.aborted) return;
    for (const { part, entries, bytes } of some.groups) {
      const name = JSON.stringify(part);
      const group = groups.get(name) ?? { part, entries: 0, bytes: 0 };
      groups.set(name, { part, entries: group.entries + entries, bytes: group.bytes + bytes });
    }
    some.sizes.forEach((number, power) => sizes[power] = (sizes[power] ?? 0) + number);
    after = some.after;
    show(charts, [...groups.values()], sizes, after === null);
  } while (after);
  const info = await getFileInfo();
  if (info && !signal.aborted) file.replaceChildren(create("h3", {}, "File and queue"), describeFile(info));
}

function describeFile(info: FileInfo): HTMLElement {
  const { fileBytes, freeBytes, walBytes, expiredEntries, nextExpiry, lastVersionstamp } = info;
  return create(
    "dl",
    { className: "facts" },
    ...fact("File", `${formatSize(fileBytes)}, ${formatSize(freeBytes)} free`),
    ...fact("WAL", formatSize(walBytes)),
    ...fact(
      "Messages waiting",
      `${formatNumber(info.messagesWaiting)}, ${formatNumber(info.messagesReady)} due`,
    ),
    ...fact("Messages in flight", formatNumber(info.messagesInFlight)),
    ...fact("Expired entries", `${formatNumber(expiredEntries)}, to be removed`),
    ...fact("Next expiry", nextExpiry === null ? "none" : new Date(nextExpiry).toISOString()),
    ...fact("Last versionstamp", lastVersionstamp),
  );
}

function show(
  panel: HTMLElement,
  groups: { part: Encoded; entries: number; bytes: number }[],
  sizes: number[],
  isComplete: boolean,
): void {
  const entries = groups.reduce((sum, group) => sum + group.entries, 0);
  const bytes = groups.reduce((sum, group) => sum + group.bytes, 0);
  const bars = (value: "entries" | "bytes") =>
    groups.map((group) => ({ label: showPart(group.part), value: group[value] })).sort((a, b) => b.value - a.value);
  panel.replaceChildren(
    create(
      "p",
      { className: "muted total", role: "status" },
      `${isComplete ? "" : "Reading\u2026 "}${formatNumber(entries)} entries, values of ${formatSize(bytes)}`,
    ),
    create("h3", {}, "Entries by first key part"),
    chart(bars("entries"), formatNumber),
    create("h3", {}, "Bytes by first key part"),
    chart(bars("bytes"), formatSize),
    create("h3", {}, "Sizes of values"),
    chart(
      sizes.map((value, power) => ({ label: span("", sizeRange(power)), value })).filter(({ value }) => value > 0),
      formatNumber,
    ),
  );
}

function chart(bars: Bar[], format: (value: number) => string): HTMLElement {
  const shown = bars.slice(0, MAX_BARS);
  const rest = bars.slice(MAX_BARS);
  if (rest.length > 0) {
    const value = rest.reduce((sum, bar) => sum + bar.value, 0);
    shown.push({ label: span("muted", `${formatNumber(rest.length)} others`), value });
  }
  const max = Math.max(...shown.map(({ value }) => value), 1);
  return create(
    "div",
    { className: "chart" },
    ...shown.flatMap(({ label, value }) => {
      const bar = span("bar-fill");
      bar.style.width = `${100 * value / max}%`;
      return [label, create("div", {}, bar), span("number", format(value))];
    }),
  );
}

/** Returns the sizes of a power of two. */
function sizeRange(power: number): string {
  return power === 0 ? "0 B" : power === 1 ? "1 B" : `${formatSize(2 ** (power - 1))} to ${formatSize(2 ** power)}`;
}
