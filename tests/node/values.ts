// Tests of the Node.js built-in modules for bytes, text, URLs and paths.

import { Blob as NodeBlob, Buffer, constants, isUtf8, transcode } from "node:buffer";
import nodeConstants from "node:constants";
import path, { basename } from "node:path";
import posix from "node:path/posix";
import win32 from "node:path/win32";
import punycode from "node:punycode";
import querystring from "node:querystring";
import { StringDecoder } from "node:string_decoder";
import url, { fileURLToPath, pathToFileURL } from "node:url";
import util, { inspect, parseArgs, promisify, styleText } from "node:util";
import types from "node:util/types";
import { equal, test, throws } from "../conformance/harness.ts";

await test("node:buffer creates, reads and compares bytes", async () => {
  equal(Buffer.from("a\u00e9", "utf8").toString("hex"), "61c3a9");
  equal(Buffer.from("61c3a9", "hex").toString(), "a\u00e9");
  equal(Buffer.from("YWI", "base64url").toString("latin1"), "ab");
  equal(Buffer.concat([Buffer.of(1), Buffer.alloc(2, 7)]), Buffer.of(1, 7, 7));
  equal(Buffer.compare(Buffer.of(1), Buffer.of(2)), -1);
  const buffer = Buffer.alloc(8);
  buffer.writeDoubleBE(1.5);
  equal(buffer.readDoubleBE(), 1.5);
  equal(buffer.indexOf(0xf8), 1);
  equal([isUtf8(Buffer.of(0xff)), transcode(Buffer.from("\u20ac"), "utf8", "latin1").toString()], [false, "?"]);
  equal([constants.MAX_LENGTH > 2 ** 31, NodeBlob === Blob, globalThis.Buffer === Buffer], [true, true, true]);
  await throws(() => Buffer.alloc(-1), "RangeError");
});

await test("a Buffer is stored as bytes", async () => {
  using kv = await Deno.openKv(":memory:");
  await kv.set(["bytes", Buffer.from("key")], Buffer.from("value"));
  equal(
    (await kv.get<Uint8Array>(["bytes", new TextEncoder().encode("key")])).value,
    new TextEncoder().encode("value"),
  );
});

await test("the deprecated modules node:constants and node:sys can be imported", async () => {
  // It has no type declarations.
  const name: string = "node:sys";
  const { default: sys } = await import(name);
  equal([nodeConstants.O_RDONLY, sys.inspect === inspect], [0, true]);
});

await test("node:path joins and parses paths", () => {
  equal([path.join("a", "..", "b"), basename("a/b.ts", ".ts"), path.resolve("/a", "b")], ["b", "b", "/a/b"]);
});

await test("node:path/posix and node:path/win32 work on every system", () => {
  equal([posix.sep, win32.join("a", "b"), win32.parse("C:\\a\\b.c").root], ["/", "a\\b", "C:\\"]);
});

await test("node:punycode encodes domain names", () => {
  equal([punycode.toASCII("ma\u00f1ana.com"), punycode.decode("maana-pta")], ["xn--maana-pta.com", "ma\u00f1ana"]);
});

await test("node:querystring parses and formats queries", () => {
  equal({ ...querystring.parse("a=1&a=2&b=%20") }, { a: ["1", "2"], b: " " });
  equal(querystring.stringify({ a: [1, 2], b: " " }), "a=1&a=2&b=%20");
});

await test("node:string_decoder buffers incomplete characters", () => {
  const decoder = new StringDecoder("utf8");
  equal([decoder.write(Buffer.of(0xe2, 0x82)), decoder.write(Buffer.of(0xac)), decoder.end()], ["", "\u20ac", ""]);
});

await test("node:url parses URLs and converts paths", () => {
  equal([fileURLToPath("file:///a%20b"), pathToFileURL("/a b").href], ["/a b", "file:///a%20b"]);
  equal([url.parse("http://a:1/b?c#d").port, url.domainToASCII("espa\u00f1ol.com")], ["1", "xn--espaol-zwa.com"]);
});

await test("node:util formats and inspects values, and promisifies functions", async () => {
  equal([util.format("%s %d %j", "a", 1, { b: 2 }), inspect(new Map([[1, 2]]))], ['a 1 {"b":2}', "Map(1) { 1 => 2 }"]);
  const twice = promisify((value: number, done: (error: null, value: number) => void) => done(null, value * 2));
  equal(await twice(2), 4);
  equal(
    parseArgs({ args: ["-f", "--bar", "b"], options: { f: { type: "boolean", short: "f" }, bar: { type: "string" } } })
      .values.bar,
    "b",
  );
  equal([styleText("red", "a", { validateStream: false }), util.isDeepStrictEqual({ a: 1 }, { a: 1 })], [
    "\x1b[31ma\x1b[39m",
    true,
  ]);
});

await test("node:util/types distinguishes types of values", () => {
  equal([types.isProxy(new Proxy({}, {})), types.isDate(new Date()), types.isPromise({})], [true, true, false]);
});
