// What scripts find besides `Deno`. Whatever is loaded here is in the snapshot: `watch` needs the streams, and a Blob that is
// read from a database the files.

import { core } from "ext:core/mod.js";

const { Console, setNoColorFns } = core.loadExtScript("ext:deno_web/01_console.js");
const { ReadableStream } = core.loadExtScript("ext:deno_web/06_streams.js");
const { TextDecoder, TextEncoder } = core.loadExtScript("ext:deno_web/08_text_encoding.js");
const { Blob, File } = core.loadExtScript("ext:deno_web/09_file.js");

setNoColorFns(() => true, () => true);
const console = new Console((text, level) => core.print(text, level > 1));
Object.assign(globalThis, { Blob, console, File, ReadableStream, TextDecoder, TextEncoder });
