// The globals of scripts besides `Deno`. The modules that are loaded here are in the snapshot: `watch` needs the streams, and reading a
// Blob from a database needs the files.

import { core } from "ext:core/mod.js";

const { Console, setNoColorFns } = core.loadExtScript("ext:deno_web/01_console.js");
const { ReadableStream } = core.loadExtScript("ext:deno_web/06_streams.js");
const { TextDecoder, TextEncoder } = core.loadExtScript("ext:deno_web/08_text_encoding.js");
const { Blob, File } = core.loadExtScript("ext:deno_web/09_file.js");

setNoColorFns(() => true, () => true);
const console = new Console((text, level) => core.print(text, level > 1));
Object.assign(globalThis, { Blob, console, File, ReadableStream, TextDecoder, TextEncoder });
