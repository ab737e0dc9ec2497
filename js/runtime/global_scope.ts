import { core, internals, primordials } from "ext:core/mod.js";

const { propGetterOnly, propNonEnumerable, propNonEnumerableLazyLoaded, propWritable, propWritableLazyLoaded } = core;

// WebCrypto marks its keys with it: deno_crypto expects the host to have chosen it before.
internals.kKeyObject = primordials.Symbol("kKeyObject");

const abortSignal = core.loadExtScript("ext:deno_web/03_abort_signal.js");
const console = core.loadExtScript("ext:deno_web/01_console.js");
const crypto = core.loadExtScript("ext:deno_crypto/00_crypto.js");
const domException = core.loadExtScript("ext:deno_web/01_dom_exception.js");
const event = core.loadExtScript("ext:deno_web/02_event.js");
const file = core.loadExtScript("ext:deno_web/09_file.js");
const globalInterfaces = core.loadExtScript("ext:deno_web/04_global_interfaces.js");
const location = core.loadExtScript("ext:deno_web/12_location.js");
const messagePort = core.loadExtScript("ext:deno_web/13_message_port.js");
const performance = core.loadExtScript("ext:deno_web/15_performance.js");
const timers = core.loadExtScript("ext:deno_web/02_timers.js");
const url = core.loadExtScript("ext:deno_web/00_url.js");
const webidl = core.loadExtScript("ext:deno_webidl/00_webidl.js");

// What follows is large, or rarely used: it is loaded by the first script that touches it.
const base64 = () => core.loadExtScript("ext:deno_web/05_base64.js");
const broadcastChannel = () => core.loadExtScript("ext:deno_web/01_broadcast_channel.js");
const compression = () => core.loadExtScript("ext:deno_web/14_compression.js");
const encoding = () => core.loadExtScript("ext:deno_web/08_text_encoding.js");
const fileReader = () => core.loadExtScript("ext:deno_web/10_filereader.js");
const streams = () => core.loadExtScript("ext:deno_web/06_streams.js");
const urlPattern = () => core.loadExtScript("ext:deno_web/01_urlpattern.js");

// deno-lint-ignore no-explicit-any
type Module = any;
const lazyClass = (name: string, load: () => Module) => propNonEnumerableLazyLoaded((m: Module) => m[name], load);
const lazyFunction = (name: string, load: () => Module) => propWritableLazyLoaded((m: Module) => m[name], load);

/** What a script finds in its global scope, as property descriptors. */
export const globalScope = {
  AbortController: propNonEnumerable(abortSignal.AbortController),
  AbortSignal: propNonEnumerable(abortSignal.AbortSignal),
  Blob: propNonEnumerable(file.Blob),
  BroadcastChannel: lazyClass("BroadcastChannel", broadcastChannel),
  ByteLengthQueuingStrategy: lazyClass("ByteLengthQueuingStrategy", streams),
  CloseEvent: propNonEnumerable(event.CloseEvent),
  CompressionStream: lazyClass("CompressionStream", compression),
  CountQueuingStrategy: lazyClass("CountQueuingStrategy", streams),
  Crypto: propNonEnumerable(crypto.Crypto),
  CryptoKey: propNonEnumerable(crypto.CryptoKey),
  CustomEvent: propNonEnumerable(event.CustomEvent),
  DOMException: propNonEnumerable(domException.DOMException),
  DecompressionStream: lazyClass("DecompressionStream", compression),
  ErrorEvent: propNonEnumerable(event.ErrorEvent),
  Event: propNonEnumerable(event.Event),
  EventTarget: propNonEnumerable(event.EventTarget),
  File: propNonEnumerable(file.File),
  FileReader: lazyClass("FileReader", fileReader),
  MessageChannel: propNonEnumerable(messagePort.MessageChannel),
  MessageEvent: propNonEnumerable(event.MessageEvent),
  MessagePort: propNonEnumerable(messagePort.MessagePort),
  Performance: propNonEnumerable(performance.Performance),
  PerformanceEntry: propNonEnumerable(performance.PerformanceEntry),
  PerformanceMark: propNonEnumerable(performance.PerformanceMark),
  PerformanceMeasure: propNonEnumerable(performance.PerformanceMeasure),
  PerformanceObserver: propNonEnumerable(performance.PerformanceObserver),
  PerformanceObserverEntryList: propNonEnumerable(performance.PerformanceObserverEntryList),
  ProgressEvent: propNonEnumerable(event.ProgressEvent),
  PromiseRejectionEvent: propNonEnumerable(event.PromiseRejectionEvent),
  QuotaExceededError: propNonEnumerable(domException.QuotaExceededError),
  ReadableByteStreamController: lazyClass("ReadableByteStreamController", streams),
  ReadableStream: lazyClass("ReadableStream", streams),
  ReadableStreamBYOBReader: lazyClass("ReadableStreamBYOBReader", streams),
  ReadableStreamBYOBRequest: lazyClass("ReadableStreamBYOBRequest", streams),
  ReadableStreamDefaultController: lazyClass("ReadableStreamDefaultController", streams),
  ReadableStreamDefaultReader: lazyClass("ReadableStreamDefaultReader", streams),
  SubtleCrypto: propNonEnumerable(crypto.SubtleCrypto),
  TextDecoder: lazyClass("TextDecoder", encoding),
  TextDecoderStream: lazyClass("TextDecoderStream", encoding),
  TextEncoder: lazyClass("TextEncoder", encoding),
  TextEncoderStream: lazyClass("TextEncoderStream", encoding),
  TransformStream: lazyClass("TransformStream", streams),
  TransformStreamDefaultController: lazyClass("TransformStreamDefaultController", streams),
  URL: propNonEnumerable(url.URL),
  URLPattern: lazyClass("URLPattern", urlPattern),
  URLSearchParams: propNonEnumerable(url.URLSearchParams),
  WritableStream: lazyClass("WritableStream", streams),
  WritableStreamDefaultController: lazyClass("WritableStreamDefaultController", streams),
  WritableStreamDefaultWriter: lazyClass("WritableStreamDefaultWriter", streams),
  atob: lazyFunction("atob", base64),
  btoa: lazyFunction("btoa", base64),
  clearInterval: propWritable(timers.clearInterval),
  clearTimeout: propWritable(timers.clearTimeout),
  console: propNonEnumerable(
    new console.Console((message: string, level: number) => core.print(message, level > 1)),
  ),
  crypto: propGetterOnly(() => crypto.crypto),
  performance: propWritable(performance.performance),
  reportError: propWritable(event.reportError),
  self: propGetterOnly(() => globalThis),
  setInterval: propWritable(timers.setInterval),
  setTimeout: propWritable(timers.setTimeout),
  structuredClone: propWritable(messagePort.structuredClone),
  Window: globalInterfaces.windowConstructorDescriptor,
  [webidl.brand]: propNonEnumerable(webidl.brand),
};

/** The location of the script: that of `--location`, or none, which the script may set itself. */
export function locationScope(href: string | undefined) {
  if (href === undefined) {
    return { location: { __proto__: null, writable: true, configurable: true, value: undefined } };
  }
  location.setLocationHref(href);
  return { Location: location.locationConstructorDescriptor, location: location.locationDescriptor };
}
