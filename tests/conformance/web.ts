// Web APIs for data: URLs, encodings, streams, files, clones.

import { equal, test, throws, throwsSync } from "./harness.ts";

/** Returns a stream of these chunks. */
const stream = <T>(...pieces: T[]) => ReadableStream.from(pieces);

await test("a URL is parsed and modified", () => {
  const url = new URL("../b?x=1#f", "https://me:secret@a.example:8080/c/d");
  equal(url.href, "https://me:secret@a.example:8080/b?x=1#f");
  equal([url.origin, url.host, url.pathname, url.search], ["https://a.example:8080", "a.example:8080", "/b", "?x=1"]);
  url.searchParams.append("y", "2 &");
  url.port = "";
  url.username = url.password = url.hash = "";
  equal(url.href, "https://a.example/b?x=1&y=2+%26");
  equal([URL.canParse("a b:"), URL.parse("nonsense"), new URL("https://grün.example").hostname], [
    false,
    null,
    "xn--grn-ioa.example",
  ]);
  throwsSync(() => new URL("nonsense"), "TypeError", "Invalid URL: 'nonsense'");
  equal(Deno.inspect(new URL("https://a.example")).startsWith("URL {\n  href: "), true);
});

await test("search parameters are a list", () => {
  const params = new URLSearchParams("b=2&a=1&b=3");
  equal([params.getAll("b"), params.get("a"), params.has("b", "3"), params.size], [["2", "3"], "1", true, 3]);
  params.delete("b", "2");
  params.set("c", "ü");
  params.sort();
  equal([`${params}`, [...params.keys()]], ["a=1&b=3&c=%C3%BC", ["a", "b", "c"]]);
});

await test("a URL pattern matches", () => {
  const pattern = new URLPattern({ pathname: "/books/:id/*" });
  equal(pattern.test("https://a.example/books/7/pages"), true);
  equal({ ...pattern.exec("https://a.example/books/7/pages")!.pathname.groups }, { 0: "pages", id: "7" });
  equal([pattern.exec("https://a.example/films/7/x"), pattern.pathname], [null, "/books/:id/*"]);
  const host = new URLPattern("https://:sub.example.com/:file([a-z]+).txt");
  const match = host.exec("https://www.example.com/abc.txt")!;
  equal([match.hostname.groups.sub, match.pathname.groups.file], ["www", "abc"]);
});

await test("text is encoded and decoded", () => {
  equal(new TextEncoder().encode("ü€😀").toHex(), "c3bce282acf09f9880");
  equal({ ...new TextEncoder().encodeInto("ü€", new Uint8Array(4)) }, { read: 1, written: 2 });
  equal(new TextDecoder().decode(new Uint8Array([0xef, 0xbb, 0xbf, 97, 255])), "a\ufffd");
  equal(new TextDecoder("utf-8", { ignoreBOM: true }).decode(new Uint8Array([0xef, 0xbb, 0xbf])), "\ufeff");
  equal(new TextDecoder("latin1").decode(new Uint8Array([0xfc, 0x80])), "ü€");
  equal(new TextDecoder("utf-16le").decode(new Uint8Array([97, 0])), "a");
  equal(new TextDecoder("shift_jis").decode(new Uint8Array([0x82, 0xa0])), "あ");
  const decoder = new TextDecoder();
  equal(decoder.decode(new Uint8Array([0xe2, 0x82]), { stream: true }) + decoder.decode(new Uint8Array([0xac])), "€");
  const fatal = new TextDecoder("utf-8", { fatal: true });
  throwsSync(() => fatal.decode(new Uint8Array([255])), "TypeError", "The encoded data is not valid");
  throwsSync(() => new TextDecoder("nonsense"), "RangeError", "The encoding label provided ('nonsense') is invalid.");
});

await test("base64", () => {
  equal([btoa("a\xff"), atob("Yf8=")], ["Yf8=", "a\xff"]);
  throwsSync(() => atob("?"), "DOMException", "Failed to decode base64");
  throwsSync(
    () => btoa("€"),
    "DOMException",
    "Cannot encode string: string contains characters outside of the Latin1 range",
  );
});

await test("streams of text", async () => {
  const bytes = stream("a", "\ud83d", "\ude00").pipeThrough(new TextEncoderStream());
  equal(await new Response(bytes).text(), "a😀");
  const halves = stream(new Uint8Array([0xe2]), new Uint8Array([0x82, 0xac])).pipeThrough(new TextDecoderStream());
  equal((await Array.fromAsync(halves)).join(""), "€");
});

await test("streams are compressed and decompressed", async () => {
  const text = "again and ".repeat(1000);
  for (const format of ["gzip", "deflate", "deflate-raw", "brotli"] as CompressionFormat[]) {
    const packed = await new Response(new Blob([text]).stream().pipeThrough(new CompressionStream(format))).bytes();
    equal(packed.length < 200, true);
    const unpacked = stream(packed).pipeThrough(new DecompressionStream(format));
    equal(await new Response(unpacked).text() === text, true);
  }
  const broken = stream(new Uint8Array([1, 2, 3])).pipeThrough(new DecompressionStream("gzip"));
  await throws(() => new Response(broken).text(), "TypeError", "corrupt gzip stream does not have a matching checksum");
});

await test("a stream is read, teed, transformed and written", async () => {
  const [one, other] = stream(1, 2, 3).tee();
  const doubled = new TransformStream<number, number>({
    transform: (value, controller) => controller.enqueue(value * 2),
    flush: (controller) => controller.enqueue(0),
  });
  equal([await Array.fromAsync(one.pipeThrough(doubled)), await Array.fromAsync(other)], [[2, 4, 6, 0], [1, 2, 3]]);
  const written: string[] = [];
  const writer = new WritableStream<string>({
    write: (text) => void written.push(text),
    close: () => void written.push("closed"),
  })
    .getWriter();
  await writer.write("a");
  await writer.close();
  equal(written, ["a", "closed"]);
});

await test("a stream is pulled only when it is read", async () => {
  let pulled = 0;
  const source = new ReadableStream({ pull: (controller) => controller.enqueue(++pulled) }, { highWaterMark: 0 });
  const reader = source.getReader();
  equal([await reader.read(), pulled], [{ value: 1, done: false }, 1]);
  let cancelled: unknown;
  reader.releaseLock();
  const other = new ReadableStream({ cancel: (reason) => void (cancelled = reason) });
  await other.cancel("enough");
  equal(cancelled, "enough");
  throwsSync(() => (source.getReader(), source.getReader()), "TypeError", "ReadableStream is locked");
});

await test("a stream of bytes is read into a buffer", async () => {
  const source = new ReadableStream({
    type: "bytes",
    start: (controller) => controller.enqueue(new Uint8Array([1, 2, 3])),
  });
  const reader = source.getReader({ mode: "byob" });
  const { value, done } = await reader.read(new Uint8Array(2));
  equal([value, done], [new Uint8Array([1, 2]), false]);
});

await test("a blob is read as a whole, in part and as a stream", async () => {
  const blob = new Blob(["grün ", new Uint8Array([97, 98]), new Blob(["c"])], { type: "Text/Plain" });
  equal([blob.size, blob.type, await blob.text()], [9, "text/plain", "grün abc"]);
  equal([await blob.slice(6, -1, "a/b").text(), blob.slice(6, -1, "a/b").type], ["ab", "a/b"]);
  equal(await new Response(blob.stream()).text(), "grün abc");
  equal([(await blob.arrayBuffer()).byteLength, (await blob.bytes()).length], [9, 9]);
});

await test("a file has a name and a time", async () => {
  const file = new File(["text"], "a.txt", { type: "text/plain", lastModified: 5 });
  equal([file.name, file.lastModified, file.size, file instanceof Blob, await file.text()], [
    "a.txt",
    5,
    4,
    true,
    "text",
  ]);
});

await test("a file reader reads a blob", async () => {
  const read = (how: "readAsText" | "readAsDataURL" | "readAsArrayBuffer") => {
    const reader = new FileReader();
    reader[how](new Blob(["ab"], { type: "text/plain" }));
    return new Promise((resolve) => reader.onload = () => resolve(reader.result));
  };
  equal([await read("readAsText"), await read("readAsDataURL")], ["ab", "data:text/plain;base64,YWI="]);
  equal(await read("readAsArrayBuffer"), new Uint8Array([97, 98]).buffer);
});

await test("a form is a list of strings and files", async () => {
  const form = new FormData();
  form.append("a", "1");
  form.append("a", new Blob(["x"]), "x.txt");
  form.set("b", "2");
  equal([[...form.keys()], form.getAll("a").length, (form.getAll("a")[1] as File).name], [["a", "a", "b"], 2, "x.txt"]);
  const body = await new Response(form).text();
  equal([body.includes('name="a"; filename="x.txt"'), body.trimEnd().endsWith("--")], [true, true]);
});

await test("a value is cloned deeply", () => {
  const shared = { list: [1, -0, NaN, 2n] };
  const value = {
    shared,
    again: shared,
    map: new Map([[1, new Set(["a"])]]),
    date: new Date(5),
    pattern: /a/gi,
    self: {},
  };
  value.self = value;
  const clone = structuredClone(value);
  equal([clone.shared === clone.again, clone.self === clone, clone === value], [true, true, false]);
  equal([clone.map, clone.date, clone.pattern, clone.shared], [value.map, value.date, value.pattern, shared]);
  const error = structuredClone(new RangeError("mine", { cause: 1 }));
  equal([error instanceof RangeError, error.message, error.cause], [true, "mine", 1]);
});

await test("a buffer is transferred to its clone", () => {
  const buffer = new ArrayBuffer(8);
  const clone = structuredClone(buffer, { transfer: [buffer] });
  equal([clone.byteLength, buffer.byteLength, buffer.detached], [8, 0, true]);
});

await test("values that cannot be cloned throw", () => {
  throwsSync(
    () => structuredClone(Math.max),
    "DOMException",
    "function max() { [native code] } could not be cloned.",
  );
  throwsSync(() => structuredClone(Symbol("a")), "DOMException", "Symbol(a) could not be cloned.");
});

await test("web objects can be inspected", () => {
  equal(Deno.inspect(new Headers({ a: "b" })), 'Headers { a: "b" }');
  equal(Deno.inspect(new Blob(["abc"], { type: "a/b" })), 'Blob { size: 3, type: "a/b" }');
  const request = new Request("https://a.example", { signal: new AbortController().signal });
  equal(Deno.inspect(request).split("\n").slice(0, 3), ["Request {", "  bodyUsed: false,", "  headers: Headers {},"]);
  equal(`${new URLSearchParams({ a: "b" })} ${new AbortController().signal}`, "a=b [object AbortSignal]");
});

await test("WebAssembly is compiled from a response", async () => {
  // (module (func (export "add") (param i32 i32) (result i32) local.get 0 local.get 1 i32.add))
  const add = Uint8Array.from(
    atob("AGFzbQEAAAABBwFgAn9/AX8DAgEABwcBA2FkZAAACgkBBwAgACABags="),
    (character) => character.charCodeAt(0),
  );
  const headers = { "content-type": "application/wasm" };
  const { instance } = await WebAssembly.instantiateStreaming(new Response(add, { headers }));
  equal((instance.exports as { add(a: number, b: number): number }).add(1, 2), 3);
  const pieces = stream(add.subarray(0, 9), add.subarray(9));
  const module = await WebAssembly.compileStreaming(Promise.resolve(new Response(pieces, { headers })));
  equal(WebAssembly.Module.exports(module), [{ name: "add", kind: "function" }]);
  const fetched = await WebAssembly.compileStreaming(fetch(`data:application/wasm;base64,${add.toBase64()}`));
  equal(fetched instanceof WebAssembly.Module, true);

  const compile = (response: unknown) => () => WebAssembly.compileStreaming(response as Response);
  await throws(compile(new Response(add)), "TypeError", "Invalid WebAssembly content type");
  const failed = new Response(add, { headers, status: 404 });
  await throws(compile(failed), "TypeError", "Failed to receive WebAssembly content: HTTP status code 404");
  const message = "Failed to execute 'WebAssembly.compileStreaming': Argument 1 is not of type Response";
  await throws(compile(5), "TypeError", message);
});

await test("a matrix is parsed from CSS transforms", () => {
  const numbers = (matrix: DOMMatrixReadOnly) => [matrix.a, matrix.b, matrix.c, matrix.d, matrix.e, matrix.f];
  equal(numbers(new DOMMatrix("scale(2)")), [2, 0, 0, 2, 0, 0]);
  equal(numbers(new DOMMatrixReadOnly("translate(3px, 4px) scale(2, 5)")), [2, 0, 0, 5, 3, 4]);
  equal(numbers(new DOMMatrix().setMatrixValue("matrix(1, 2, 3, 4, 5, 6)")), [1, 2, 3, 4, 5, 6]);
  equal(String(new DOMMatrix("none")), "matrix(1, 0, 0, 1, 0, 0)");
  const message = "Failed to parse as CSS <transform-list>: unexpected token";
  throwsSync(() => new DOMMatrix("no transform"), "DOMException", message);
});
