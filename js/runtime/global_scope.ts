import { core, primordials } from "ext:core/mod.js";
import { lazyClasses, lazyProperties, lazyScript } from "ext:openkv_runtime/lazy.ts";
import { Navigator, navigator } from "ext:openkv_runtime/navigator.ts";
// Must precede deno_crypto.
import { nodeScope } from "ext:openkv_runtime/node.ts";
import * as prompts from "ext:openkv_runtime/prompts.ts";
import { localStorage, sessionStorage, Storage } from "ext:openkv_runtime/storage.ts";
import { Worker } from "ext:openkv_runtime/worker.ts";

const { propGetterOnly, propNonEnumerable, propWritable } = core;

const abortSignal = core.loadExtScript("ext:deno_web/03_abort_signal.js");
const console = core.loadExtScript("ext:deno_web/01_console.js");
const crypto = core.loadExtScript("ext:deno_crypto/00_crypto.js");
const domException = core.loadExtScript("ext:deno_web/01_dom_exception.js");
const event = core.loadExtScript("ext:deno_web/02_event.js");
const file = core.loadExtScript("ext:deno_web/09_file.js");
const globalInterfaces = core.loadExtScript("ext:deno_web/04_global_interfaces.js");
const location = core.loadExtScript("ext:deno_web/12_location.js");
const messagePort = core.loadExtScript("ext:deno_web/13_message_port.js");
const os = core.loadExtScript("ext:deno_os/30_os.js");
const performance = core.loadExtScript("ext:deno_web/15_performance.js");
const url = core.loadExtScript("ext:deno_web/00_url.js");
const webidl = core.loadExtScript("ext:deno_webidl/00_webidl.js");

// Large or rarely used scripts, loaded on first use.
const base64 = lazyScript("ext:deno_web/05_base64.js");
const broadcastChannel = lazyScript("ext:deno_web/01_broadcast_channel.js");
const compression = lazyScript("ext:deno_web/14_compression.js");
const encoding = lazyScript("ext:deno_web/08_text_encoding.js");
const eventSource = lazyScript("ext:deno_fetch/27_eventsource.js");
const fetching = lazyScript("ext:deno_fetch/26_fetch.js");
const fileReader = lazyScript("ext:deno_web/10_filereader.js");
const formData = lazyScript("ext:deno_fetch/21_formdata.js");
const geometry = lazyScript("ext:deno_web/17_geometry.js");
const headers = lazyScript("ext:deno_fetch/20_headers.js");
const imageData = lazyScript("ext:deno_web/16_image_data.js");
const locks = core.createLazyLoader("ext:deno_web/locks.js");
const request = lazyScript("ext:deno_fetch/23_request.js");
const response = lazyScript("ext:deno_fetch/23_response.js");
const streams = lazyScript("ext:deno_web/06_streams.js");
const urlPattern = lazyScript("ext:deno_web/01_urlpattern.js");
const webSocket = core.createLazyLoader("ext:deno_websocket/01_websocket.js");
const webSocketStream = core.createLazyLoader("ext:deno_websocket/02_websocketstream.js");
const webTransport = core.createLazyLoader("ext:deno_web/webtransport.js");

let closing = false;

/** Exits the process, after the current call has returned. */
function close() {
  if (closing) return;
  closing = true;
  primordials.PromisePrototypeThen(primordials.PromiseResolve(), () => os.exit(0));
}

/** Compiles the WebAssembly of a response, for `WebAssembly.compileStreaming` and `instantiateStreaming`. */
export function streamWasm(source: unknown, rid: number): void {
  fetching().handleWasmStreaming(source, rid);
}

/** The property descriptors of the global scope. */
export const globalScope = {
  AbortController: propNonEnumerable(abortSignal.AbortController),
  AbortSignal: propNonEnumerable(abortSignal.AbortSignal),
  Blob: propNonEnumerable(file.Blob),
  CloseEvent: propNonEnumerable(event.CloseEvent),
  Crypto: propNonEnumerable(crypto.Crypto),
  CryptoKey: propNonEnumerable(crypto.CryptoKey),
  CustomEvent: propNonEnumerable(event.CustomEvent),
  DOMException: propNonEnumerable(domException.DOMException),
  ErrorEvent: propNonEnumerable(event.ErrorEvent),
  Event: propNonEnumerable(event.Event),
  EventTarget: propNonEnumerable(event.EventTarget),
  File: propNonEnumerable(file.File),
  MessageChannel: propNonEnumerable(messagePort.MessageChannel),
  MessageEvent: propNonEnumerable(event.MessageEvent),
  MessagePort: propNonEnumerable(messagePort.MessagePort),
  Navigator: propNonEnumerable(Navigator),
  Performance: propNonEnumerable(performance.Performance),
  PerformanceEntry: propNonEnumerable(performance.PerformanceEntry),
  PerformanceMark: propNonEnumerable(performance.PerformanceMark),
  PerformanceMeasure: propNonEnumerable(performance.PerformanceMeasure),
  PerformanceObserver: propNonEnumerable(performance.PerformanceObserver),
  PerformanceObserverEntryList: propNonEnumerable(performance.PerformanceObserverEntryList),
  ProgressEvent: propNonEnumerable(event.ProgressEvent),
  PromiseRejectionEvent: propNonEnumerable(event.PromiseRejectionEvent),
  QuotaExceededError: propNonEnumerable(domException.QuotaExceededError),
  Storage: propNonEnumerable(Storage),
  SubtleCrypto: propNonEnumerable(crypto.SubtleCrypto),
  URL: propNonEnumerable(url.URL),
  URLSearchParams: propNonEnumerable(url.URLSearchParams),
  Worker: propNonEnumerable(Worker),
  close: propWritable(close),
  closed: propGetterOnly(() => closing),
  console: propNonEnumerable(
    new console.Console((message: string, level: number) => core.print(message, level > 1)),
  ),
  crypto: propGetterOnly(() => crypto.crypto),
  // A plain function, as libraries that wrap it expect. Its implementation is loaded by the first call.
  fetch: propWritable(function fetch(...args: unknown[]) {
    return fetching().fetch(...new primordials.SafeArrayIterator(args));
  }),
  global: propWritable(globalThis),
  localStorage: propGetterOnly(localStorage),
  name: propWritable(""),
  navigator: propGetterOnly(() => navigator),
  performance: propWritable(performance.performance),
  reportError: propWritable(event.reportError),
  self: propGetterOnly(() => globalThis),
  sessionStorage: propGetterOnly(sessionStorage),
  structuredClone: propWritable(messagePort.structuredClone),
  Window: globalInterfaces.windowConstructorDescriptor,
  [webidl.brand]: propNonEnumerable(webidl.brand),
  ...nodeScope,
  ...lazyProperties(() => prompts, ["alert", "confirm", "prompt"]),
  ...lazyProperties(base64, ["atob", "btoa"]),
  ...lazyProperties(eventSource, ["EventSource"]),
  ...lazyClasses(broadcastChannel, ["BroadcastChannel"]),
  ...lazyClasses(compression, ["CompressionStream", "DecompressionStream"]),
  ...lazyClasses(encoding, ["TextDecoder", "TextDecoderStream", "TextEncoder", "TextEncoderStream"]),
  ...lazyClasses(fileReader, ["FileReader"]),
  ...lazyClasses(formData, ["FormData"]),
  ...lazyClasses(geometry, [
    "DOMMatrix",
    "DOMMatrixReadOnly",
    "DOMPoint",
    "DOMPointReadOnly",
    "DOMQuad",
    "DOMRect",
    "DOMRectReadOnly",
  ]),
  ...lazyClasses(headers, ["Headers"]),
  ...lazyClasses(imageData, ["ImageData"]),
  ...lazyClasses(locks, ["Lock", "LockManager"]),
  ...lazyClasses(request, ["Request"]),
  ...lazyClasses(response, ["Response"]),
  ...lazyClasses(streams, [
    "ByteLengthQueuingStrategy",
    "CountQueuingStrategy",
    "ReadableByteStreamController",
    "ReadableStream",
    "ReadableStreamBYOBReader",
    "ReadableStreamBYOBRequest",
    "ReadableStreamDefaultController",
    "ReadableStreamDefaultReader",
    "TransformStream",
    "TransformStreamDefaultController",
    "WritableStream",
    "WritableStreamDefaultController",
    "WritableStreamDefaultWriter",
  ]),
  ...lazyClasses(urlPattern, ["URLPattern"]),
  ...lazyClasses(webSocket, ["WebSocket"]),
  ...lazyClasses(webSocketStream, ["WebSocketError", "WebSocketStream"]),
  ...lazyClasses(webTransport, [
    "WebTransport",
    "WebTransportBidirectionalStream",
    "WebTransportDatagramDuplexStream",
    "WebTransportError",
    "WebTransportReceiveStream",
    "WebTransportSendGroup",
    "WebTransportSendStream",
  ]),
};

/** Returns the descriptors of the location: that of `--location`, or undefined and writable. */
export function locationScope(href: string | undefined) {
  const Location = location.locationConstructorDescriptor;
  if (href === undefined) {
    return { Location, location: { __proto__: null, writable: true, configurable: true, value: undefined } };
  }
  location.setLocationHref(href);
  return { Location, location: location.locationDescriptor };
}
