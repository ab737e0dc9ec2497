// Events, timers and messages, and their order.

import { equal, sleep, test, throws, throwsSync } from "./harness.ts";

await test("tasks run in order", async () => {
  const order: string[] = [];
  const { promise, resolve } = Promise.withResolvers<void>();
  setTimeout(() => {
    order.push("timeout 1");
    queueMicrotask(() => order.push("microtask of a timeout"));
  }, 1);
  setTimeout(() => {
    order.push("timeout 2");
    resolve();
  }, 2);
  queueMicrotask(() => order.push("microtask"));
  Promise.resolve().then(() => order.push("promise"));
  order.push("now");
  await promise;
  equal(order, ["now", "microtask", "promise", "timeout 1", "microtask of a timeout", "timeout 2"]);
});

await test("timers are cancelled, and receive arguments", async () => {
  const received: unknown[] = [];
  clearTimeout(setTimeout(() => received.push("never"), 0));
  setTimeout((...args: unknown[]) => received.push(args), 0, 1, "a");
  const { promise, resolve } = Promise.withResolvers<void>();
  let count = 0;
  const interval = setInterval(() => {
    if (++count === 3) resolve(clearInterval(interval));
  }, 1);
  await promise;
  equal([received, count], [[[1, "a"]], 3]);
  clearTimeout(undefined);
  const unref = setTimeout(() => {}, 1_000_000);
  Deno.unrefTimer(unref as unknown as number);
});

await test("listeners are called once, in order, until they are removed", () => {
  const target = new EventTarget();
  const received: string[] = [];
  const first = () => received.push("first");
  target.addEventListener("a", first);
  target.addEventListener("a", first);
  target.addEventListener("a", () => received.push("once"), { once: true });
  target.addEventListener("a", { handleEvent: (event) => received.push(event.type) });
  const controller = new AbortController();
  target.addEventListener("a", () => received.push("until"), { signal: controller.signal });
  target.dispatchEvent(new Event("a"));
  controller.abort();
  target.removeEventListener("a", first);
  target.dispatchEvent(new Event("a"));
  equal(received, ["first", "once", "a", "until", "a"]);
});

await test("an event may be prevented or stopped", () => {
  const target = new EventTarget();
  let received = 0;
  target.addEventListener("a", (event) => (event.preventDefault(), event.stopImmediatePropagation()));
  target.addEventListener("a", () => received++);
  equal([target.dispatchEvent(new Event("a", { cancelable: true })), target.dispatchEvent(new Event("a")), received], [
    false,
    true,
    0,
  ]);
  const { detail, type } = new CustomEvent("b", { detail: { x: 1 } });
  equal([detail, type], [{ x: 1 }, "b"]);
});

await test("a signal aborts, with a reason", async () => {
  const controller = new AbortController();
  const { signal } = controller;
  let received: unknown;
  signal.onabort = (event) => received = event.type;
  equal([signal.aborted, signal.throwIfAborted()], [false, undefined]);
  controller.abort();
  equal([signal.aborted, signal.reason.name, received], [true, "AbortError", "abort"]);
  throwsSync(() => signal.throwIfAborted(), "DOMException", "The signal has been aborted");
  await throws(() => AbortSignal.abort("mine").throwIfAborted(), "String", undefined as unknown as string);
});

await test("a signal of several aborts with the first", async () => {
  const [one, other] = [new AbortController(), new AbortController()];
  const any = AbortSignal.any([one.signal, other.signal, AbortSignal.timeout(1_000_000)]);
  other.abort("second");
  one.abort("first");
  equal([any.aborted, any.reason, AbortSignal.any([AbortSignal.abort(1)]).reason], [true, "second", 1]);
  const timeout = AbortSignal.timeout(1);
  // The timer of the signal does not keep the process alive.
  const interval = setInterval(() => {}, 1000);
  await new Promise((resolve) => timeout.onabort = resolve);
  clearInterval(interval);
  equal(timeout.reason.name, "TimeoutError");
});

await test("a channel carries messages between its ports", async () => {
  const { port1, port2 } = new MessageChannel();
  const received = new Promise((resolve) => port2.onmessage = ({ data }) => resolve(data));
  port1.postMessage({ a: [1n] });
  equal(await received, { a: [1n] });
  const inner = new MessageChannel();
  const port = new Promise<MessagePort>((resolve) => port1.onmessage = ({ ports }) => resolve(ports[0]));
  port2.postMessage(null, [inner.port1]);
  const reply = new Promise((resolve) => inner.port2.onmessage = ({ data }) => resolve(data));
  (await port).postMessage("moved");
  equal(await reply, "moved");
  for (const open of [port1, port2, await port, inner.port2]) open.close();
});

await test("a broadcast reaches all other channels of its name", async () => {
  const [sender, one, other, stranger] = ["a", "a", "a", "b"].map((name) => new BroadcastChannel(name));
  const received: unknown[] = [];
  sender.onmessage = stranger.onmessage = () => received.push("wrong");
  const { promise, resolve } = Promise.withResolvers<void>();
  one.onmessage = other.onmessage = ({ data }) => received.push(data) === 2 && resolve();
  sender.postMessage({ x: 1 });
  await promise;
  await sleep(1);
  equal(received, [{ x: 1 }, { x: 1 }]);
  for (const channel of [sender, one, other, stranger]) channel.close();
  throwsSync(() => sender.postMessage(1), "DOMException", "Already closed");
});

await test("an uncaught error is an event", async () => {
  const received: unknown[] = [];
  const { promise, resolve } = Promise.withResolvers<void>();
  const listen = (event: ErrorEvent) => {
    event.preventDefault();
    if (received.push([event.message, event.error.message, event.filename.endsWith("/events.ts")]) === 2) resolve();
  };
  addEventListener("error", listen);
  reportError(new Error("reported"));
  setTimeout(() => {
    throw new RangeError("thrown");
  }, 0);
  await promise;
  removeEventListener("error", listen);
  equal(received, [["Uncaught Error: reported", "reported", true], ["Uncaught RangeError: thrown", "thrown", true]]);
});

await test("globalThis.onerror and onunhandledrejection are called", async () => {
  const received: unknown[] = [];
  const { promise, resolve } = Promise.withResolvers<void>();
  globalThis.onerror = (...args) => void received.push(args.length, (args[0] as ErrorEvent).preventDefault());
  reportError(1);
  globalThis.onunhandledrejection = (event) => {
    event.preventDefault();
    received.push(event.reason);
    resolve();
  };
  Promise.reject("rejected");
  await promise;
  globalThis.onerror = globalThis.onunhandledrejection = null;
  equal(received, [1, undefined, "rejected"]);
});

await test("an unhandled rejection is an event, and so is its late handling", async () => {
  const received: unknown[] = [];
  const unhandled = Promise.withResolvers<void>();
  const handled = Promise.withResolvers<void>();
  const listen = (event: PromiseRejectionEvent) => {
    event.preventDefault();
    received.push([event.type, event.reason, event.promise === rejected]);
    (event.type === "unhandledrejection" ? unhandled : handled).resolve();
  };
  addEventListener("unhandledrejection", listen);
  addEventListener("rejectionhandled", listen);
  const rejected = Promise.reject("reason");
  await unhandled.promise;
  rejected.catch(() => {});
  await handled.promise;
  removeEventListener("unhandledrejection", listen);
  removeEventListener("rejectionhandled", listen);
  equal(received, [["unhandledrejection", "reason", true], ["rejectionhandled", "reason", true]]);
});

await test("time passes", () => {
  const [before, after] = [performance.now(), performance.now()];
  equal([before > 0, after >= before, Math.abs(performance.timeOrigin + after - Date.now()) < 1000], [
    true,
    true,
    true,
  ]);
});

await test("marks and measures are recorded", () => {
  const mark = performance.mark("start", { detail: { a: 1 }, startTime: 10 });
  performance.mark("end", { startTime: 30 });
  const measure = performance.measure("took", "start", "end");
  equal([mark.entryType, mark.detail, measure.startTime, measure.duration], ["mark", { a: 1 }, 10, 20]);
  equal(performance.getEntriesByType("mark").map(({ name }) => name), ["start", "end"]);
  equal(performance.getEntriesByName("took", "measure").length, 1);
  performance.clearMarks();
  performance.clearMeasures();
  equal(performance.getEntries(), []);
});

await test("the navigator has properties", () => {
  const { userAgent, hardwareConcurrency, language, languages } = navigator;
  equal(userAgent, `Deno/${Deno.version.deno}`);
  equal([hardwareConcurrency > 0, typeof language, languages[0] === language], [true, "string", true]);
});

await test("the global scope is globalThis", () => {
  equal([self === globalThis, `${globalThis}`, typeof window], [true, "[object Window]", "undefined"]);
  equal([globalThis instanceof EventTarget, Deno.inspect(Window)], [true, "[class Window extends EventTarget]"]);
});
