// Tests of the Node.js built-in modules for events, timers and diagnostics.

import { AsyncLocalStorage, AsyncResource, executionAsyncId } from "node:async_hooks";
import { channel, tracingChannel } from "node:diagnostics_channel";
import domain from "node:domain";
import { EventEmitter, once } from "node:events";
import { createHistogram, monitorEventLoopDelay, performance as nodePerformance } from "node:perf_hooks";
import timers from "node:timers";
import {
  scheduler,
  setImmediate as immediate,
  setInterval as intervals,
  setTimeout as sleep,
} from "node:timers/promises";
import { createTracing } from "node:trace_events";
import { equal, test } from "../conformance/harness.ts";

await test("node:events calls listeners in order", async () => {
  const emitter = new EventEmitter();
  const calls: unknown[] = [];
  emitter.on("a", (value) => calls.push(value)).prependListener("a", () => calls.push(0));
  emitter.once("a", () => calls.push("once"));
  equal([emitter.emit("a", 1), emitter.emit("a", 2), emitter.emit("b")], [true, true, false]);
  equal(calls, [0, 1, "once", 0, 2]);
  queueMicrotask(() => emitter.emit("c", 3));
  equal(await once(emitter, "c"), [3]);
});

await test("node:async_hooks keeps a store across await", async () => {
  const storage = new AsyncLocalStorage<string>();
  const found = await storage.run("store", async () => {
    await sleep(1);
    return storage.getStore();
  });
  equal([found, storage.getStore(), typeof executionAsyncId()], ["store", undefined, "number"]);
  equal(storage.run("other", () => new AsyncResource("A").runInAsyncScope(() => storage.getStore())), "other");
});

await test("a store of node:async_hooks is kept across database calls", async () => {
  using kv = await Deno.openKv(":memory:");
  const storage = new AsyncLocalStorage<number>();
  await storage.run(1, async () => {
    await kv.set(["a"], 1);
    await kv.get(["a"]);
    equal(storage.getStore(), 1);
  });
});

await test("node:diagnostics_channel notifies subscribers", () => {
  const messages: unknown[] = [];
  channel("a").subscribe((message) => messages.push(message));
  channel("a").publish(1);
  equal(tracingChannel("b").traceSync(() => 2), 2);
  equal(messages, [1]);
});

await test("node:domain handles errors of emitters", () => {
  const errors: string[] = [];
  const ours = domain.create();
  ours.on("error", (error) => errors.push(error.message));
  const emitter = new EventEmitter();
  ours.add(emitter);
  emitter.emit("error", new Error("caught"));
  equal(errors, ["caught"]);
});

await test("node:perf_hooks measures", () => {
  const histogram = createHistogram();
  histogram.record(2);
  histogram.record(4);
  equal([histogram.min, histogram.max, histogram.count], [2, 4, 2]);
  const delay = monitorEventLoopDelay();
  equal([delay.enable(), delay.disable(), nodePerformance.now() > 0], [true, true, true]);
  equal(typeof nodePerformance.eventLoopUtilization().utilization, "number");
});

await test("node:timers exports the global functions", async () => {
  equal([timers.setTimeout === setTimeout, timers.setImmediate === setImmediate], [true, true]);
  const order: string[] = [];
  await new Promise<void>((resolve) => {
    setImmediate(() => order.push("immediate"));
    process.nextTick(() => order.push("tick"));
    queueMicrotask(() => order.push("microtask"));
    setTimeout(resolve, 20);
    order.push("now");
  });
  equal(order.slice().sort(), ["immediate", "microtask", "now", "tick"]);
  const timer = setTimeout(() => order.push("cancelled"), 0);
  equal([timer.hasRef(), timer.unref().hasRef(), typeof timer[Symbol.toPrimitive]()], [true, false, "number"]);
  clearTimeout(timer);
  await sleep(5);
  equal(order.includes("cancelled"), false);
});

await test("node:timers/promises waits", async () => {
  equal([await sleep(1, "a"), await immediate("b")], ["a", "b"]);
  await scheduler.yield();
  for await (const value of intervals(1, "c")) {
    equal(value, "c");
    break;
  }
});

await test("node:trace_events has categories", () => {
  equal(createTracing({ categories: ["node"] }).categories, "node");
});
