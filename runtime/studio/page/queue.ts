// The messages of the queue, and the writes a second, while they are shown.

import type { Message, Queue } from "../protocol.ts";
import { getQueue } from "./api.ts";
import { create, formatNumber, span } from "./dom.ts";
import { showValue } from "./value.ts";

/** The interval between two readings, in milliseconds. */
const INTERVAL = 2000;
/** The number of intervals that the chart of writes shows. */
const INTERVALS = 60;

/** Shows the messages, and keeps them current until the signal is aborted. */
export async function showQueue(panel: HTMLElement, signal: AbortSignal): Promise<void> {
  const [messages, writes] = [create("div"), create("div")];
  panel.replaceChildren(messages, writes);
  const rates: number[] = [];
  let last: { version: bigint; time: number } | null = null;
  let shown = "";
  while (!signal.aborted) {
    const queue = await getQueue();
    if (signal.aborted) return;
    if (!queue) {
      panel.textContent = "Only the messages of a database in a file can be shown.";
      return;
    }
    // Unchanged messages stay open as they are.
    const text = JSON.stringify([queue.inFlight, queue.waiting]);
    if (text !== shown) showMessages(messages, queue);
    shown = text;
    // The last four digits number the entries of a commit.
    const now = { version: BigInt(`0x${queue.lastVersionstamp.slice(0, 16)}`), time: performance.now() };
    if (last) rates.push(Number(now.version - last.version) * 1000 / (now.time - last.time));
    last = now;
    showWrites(writes, rates.slice(-INTERVALS));
    await new Promise((resolve) => setTimeout(resolve, INTERVAL));
  }
}

function showMessages(panel: HTMLElement, { inFlight, waiting }: Queue): void {
  const now = Date.now();
  panel.replaceChildren(
    create("h3", {}, "Messages"),
    ...(inFlight.length + waiting.length === 0 ? [create("p", { className: "muted" }, "The queue is empty.")] : []),
    ...inFlight.map((message) => showMessage(message, "in flight")),
    ...waiting.map((message) => {
      return showMessage(
        message,
        message.time <= now ? "due" : `due ${new Date(message.time).toLocaleString("en-GB")}`,
      );
    }),
  );
}

function showMessage({ value, backoffSchedule, keysIfUndelivered }: Message, state: string): HTMLElement {
  return create(
    "article",
    { className: "message" },
    create(
      "p",
      {},
      span("state", state),
      span("muted", ` up to ${formatNumber(backoffSchedule.length)} more retries`),
    ),
    create("div", { className: "value" }, showValue(value)),
    keysIfUndelivered.length > 0 &&
      create("p", { className: "muted" }, `If undelivered: ${keysIfUndelivered.join(", ")}`),
  );
}

function showWrites(panel: HTMLElement, rates: number[]): void {
  const max = Math.max(...rates, 1);
  const bars = rates.map((rate) => {
    const bar = span("column");
    bar.style.height = `${100 * rate / max}%`;
    bar.title = `${rate.toFixed(1)} writes a second`;
    return bar;
  });
  panel.replaceChildren(
    create("h3", {}, "Writes a second"),
    create(
      "p",
      { className: "muted rate" },
      rates.length === 0 ? "\u2026" : `${rates[rates.length - 1].toFixed(1)} now, ${max.toFixed(1)} at most`,
    ),
    create("div", { className: "columns-chart" }, ...bars),
  );
}
