// Tests of the Node.js built-in modules for streams and compression.

import Duplex from "node:_stream_duplex";
import PassThrough from "node:_stream_passthrough";
import Readable from "node:_stream_readable";
import Transform from "node:_stream_transform";
import Writable from "node:_stream_writable";
import stream from "node:stream";
import { json, text } from "node:stream/consumers";
import { finished, pipeline } from "node:stream/promises";
import { ReadableStream as WebReadable } from "node:stream/web";
import zlib from "node:zlib";
import { equal, test } from "../conformance/harness.ts";

const data = "some text, some text, some text".repeat(1000);

await test("node:stream pipes data through a transform", async () => {
  const upper = new stream.Transform({
    transform(chunk, _encoding, done) {
      done(null, chunk.toString().toUpperCase());
    },
  });
  equal(await text(stream.Readable.from(["a", "b"]).pipe(upper)), "AB");
  const web = stream.Readable.toWeb(stream.Readable.from([Buffer.from("web")]));
  equal(await new Response(web as ReadableStream).text(), "web");
});

await test("node:stream/consumers reads to the end", async () => {
  equal(await json(stream.Readable.from(['{"a":', "1}"])), { a: 1 });
});

await test("node:stream/promises resolves at the end of a pipeline, or rejects", async () => {
  const chunks: string[] = [];
  const sink = new stream.Writable({
    write(chunk, _encoding, done) {
      chunks.push(chunk.toString());
      done();
    },
  });
  await pipeline(stream.Readable.from(["a", "b"]), sink);
  equal(chunks, ["a", "b"]);
  const failing = new stream.PassThrough();
  failing.destroy(new Error("broken"));
  equal(await finished(failing).then(String, String), "Error: broken");
});

await test("node:stream/web exports the global stream classes", () => {
  equal(WebReadable === ReadableStream, true);
});

await test("node:_stream_duplex, node:_stream_passthrough, node:_stream_readable, node:_stream_transform, node:_stream_writable", () => {
  equal(
    [Duplex, PassThrough, Readable, Transform, Writable].map((one) =>
      (stream as unknown as Record<string, unknown>)[one.name] === one
    ),
    [true, true, true, true, true],
  );
});

await test("node:zlib compresses and decompresses", async () => {
  for (
    const [compress, expand] of [
      [zlib.gzipSync, zlib.gunzipSync],
      [zlib.deflateSync, zlib.inflateSync],
      [zlib.deflateRawSync, zlib.inflateRawSync],
      [zlib.brotliCompressSync, zlib.brotliDecompressSync],
      [zlib.zstdCompressSync, zlib.zstdDecompressSync],
    ]
  ) {
    const compressed = compress(data);
    equal([compressed.length < 1000, expand(compressed).toString() === data], [true, true]);
  }
  const zipped = stream.Readable.from([data]).pipe(zlib.createGzip()).pipe(zlib.createGunzip());
  equal(await text(zipped) === data, true);
  equal(zlib.crc32("hello"), 907060870);
});
