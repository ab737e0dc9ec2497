// The server of `openkv studio`. Its settings are its only argument.

import { children, commit, count, deleteRange, list, read, statistics, watch } from "./data.ts";
import { fileInfo, queue } from "./file.ts";
import type { Change, Session } from "./protocol.ts";
import { exportEntries, importEntries } from "./transfer.ts";

interface Settings {
  /** The databases, with the URL of the script or configuration file that each belongs to, if it is known. */
  databases: { path: string; script: string | null }[];
  /** The files of the page: path, media type, text. */
  files: [path: string, type: string, text: string][];
  /** The TCP port, or 0 for any that is free. */
  port: number;
  /** The program that opens a URL in the browser, unless the address is only printed. */
  opener: string | null;
  /** Whether writes are rejected. */
  readOnly: boolean;
}

/** How long responses may take to end when the server stops, in milliseconds. */
const GRACE_PERIOD = 1000;
const MAX_REQUEST_SIZE = 4 * 1024 * 1024;

// The page contains no data, so it needs no token. It reads the token from the fragment of the address, which browsers send to
// no server, and sends it in a header, which no other site can make a browser do.
const HEADERS = {
  "cache-control": "no-store",
  "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; " +
    "img-src 'self' blob: data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'",
  "cross-origin-opener-policy": "same-origin",
  "cross-origin-resource-policy": "same-origin",
  "referrer-policy": "no-referrer",
  "x-content-type-options": "nosniff",
};

// deno-lint-ignore no-explicit-any
type Call = (kv: Deno.Kv, body: any) => unknown;

const READS: Record<string, Call> = {
  "/api/list": (kv, { selector, after, reverse }) => list(kv, selector, after ?? null, reverse ?? false),
  "/api/children": (kv, { prefix, after }) => children(kv, prefix, after ?? null),
  "/api/count": (kv, { selector }) => count(kv, selector),
  "/api/entry": (kv, { key }) => read(kv, key),
  "/api/export": (kv, { selector, after }) => exportEntries(kv, selector, after ?? null),
  "/api/statistics": (kv, { after }) => statistics(kv, after ?? null),
  "/api/watch": (kv, { shown }) => changes((emit, signal) => watch(kv, shown, emit, signal)),
};
/** The calls that read the file of a database. */
const FILE_READS: Record<string, (path: string) => unknown> = { "/api/file": fileInfo, "/api/queue": queue };
const WRITES: Record<string, Call> = {
  "/api/commit": (kv, { writes }) => commit(kv, writes),
  "/api/delete": (kv, { selector }) => deleteRange(kv, selector),
  "/api/import": (kv, { lines, first, replace }) => importEntries(kv, lines, first, replace),
};

const settings: Settings = JSON.parse(Deno.args[0]);
const files = new Map(settings.files.map(([path, type, text]) => [path, { type, text }]));
const opened = new Map<number, Promise<Deno.Kv>>();
const token = crypto.getRandomValues(new Uint8Array(32)).toHex();
const stopping = new AbortController();

const server = Deno.serve({ hostname: "127.0.0.1", port: settings.port, onListen }, handle);
Deno.addSignalListener("SIGINT", stop);
if (Deno.build.os !== "windows") Deno.addSignalListener("SIGTERM", stop);

/** Ends the process. Connections that are idle or stuck do not keep it. */
async function stop() {
  if (stopping.signal.aborted) Deno.exit();
  stopping.abort();
  await Promise.race([server.shutdown(), new Promise((resolve) => setTimeout(resolve, GRACE_PERIOD))]);
  for (const kv of opened.values()) (await kv.catch(() => undefined))?.close();
  Deno.exit();
}

function onListen({ port }: Deno.NetAddr) {
  const address = `http://127.0.0.1:${port}/#${token}`;
  console.log(address);
  if (settings.opener === null) return;
  try {
    new Deno.Command(settings.opener, { args: [address], stdin: "null", stdout: "null", stderr: "null" }).spawn()
      .unref();
  } catch {
    // The user can open the printed address.
  }
}

async function handle(request: Request): Promise<Response> {
  const host = request.headers.get("host");
  const origin = request.headers.get("origin");
  const { port } = server.addr as Deno.NetAddr;
  // A foreign name that resolves to this machine does not make its pages part of this site.
  if (host !== `127.0.0.1:${port}` && host !== `localhost:${port}`) return failure(403, "the Host is not this server");
  if (origin !== null && origin !== `http://${host}`) return failure(403, "the Origin is not this server");
  const { pathname } = new URL(request.url);
  if (request.method === "GET") {
    const file = files.get(pathname);
    if (file) return new Response(file.text, { headers: { ...HEADERS, "content-type": file.type } });
  } else if (request.method !== "POST") {
    return failure(405, "the method is not supported");
  }
  if (!isToken(request.headers.get("authorization"))) {
    return failure(401, "the token is missing or wrong: open the address that `openkv studio` has printed");
  }
  if (request.method === "GET") return failure(404, "there is no such page");
  try {
    return await answer(pathname, request);
  } catch (error) {
    return failure(400, error instanceof Error ? error.message : String(error));
  }
}

/** Compares a header with the token in a time that does not depend on where they differ. */
function isToken(header: string | null): boolean {
  const expected = `Bearer ${token}`;
  if (header?.length !== expected.length) return false;
  let difference = 0;
  for (let i = 0; i < expected.length; i++) difference |= expected.charCodeAt(i) ^ header.charCodeAt(i);
  return difference === 0;
}

async function answer(path: string, request: Request): Promise<Response> {
  if (path === "/api/session") return json(await session());
  if (Object.hasOwn(FILE_READS, path)) {
    const { database } = await request.json();
    return json(await FILE_READS[path](pathOf(database)));
  }
  const isWrite = Object.hasOwn(WRITES, path);
  if (!isWrite && !Object.hasOwn(READS, path)) return failure(404, "there is no such call");
  if (isWrite && settings.readOnly) return failure(403, "the studio is read-only: start it without --read-only");
  if (Number(request.headers.get("content-length") ?? NaN) > MAX_REQUEST_SIZE) {
    return failure(413, "the request is too large");
  }
  const body = await request.json();
  const kv = await open(body.database);
  const result = await (isWrite ? WRITES : READS)[path](kv, body);
  return result instanceof Response ? result : json(result);
}

async function session(): Promise<Session> {
  const databases = await Promise.all(settings.databases.map(async ({ path, script }) => {
    // A URL has no size.
    const size = await Deno.stat(path).then(({ size }) => size, () => null);
    return { path, script, size };
  }));
  return { databases, readOnly: settings.readOnly };
}

function pathOf(database: number): string {
  const path = settings.databases[database]?.path;
  if (path === undefined) throw new Error("there is no such database");
  return path;
}

function open(database: number): Promise<Deno.Kv> {
  const path = pathOf(database);
  let kv = opened.get(database);
  if (!kv) {
    kv = Deno.openKv(path);
    opened.set(database, kv);
    // A later request tries again.
    kv.catch(() => opened.delete(database));
  }
  return kv;
}

/** Streams changes as lines of JSON until the page ends the request, or the server stops. */
function changes(watch: (emit: (change: Change) => void, signal: AbortSignal) => Promise<unknown>): Response {
  const ended = new AbortController();
  const signal = AbortSignal.any([ended.signal, stopping.signal]);
  const body = new ReadableStream<string>({
    async start(controller) {
      // Sends the headers immediately.
      controller.enqueue("\n");
      await watch((change) => controller.enqueue(`${JSON.stringify(change)}\n`), signal);
      if (!ended.signal.aborted) controller.close();
    },
    // The page has ended the request.
    cancel: () => ended.abort(),
  });
  return new Response(body.pipeThrough(new TextEncoderStream()), {
    headers: { ...HEADERS, "content-type": "application/x-ndjson" },
  });
}

function json(value: unknown): Response {
  return Response.json(value, { headers: HEADERS });
}

function failure(status: number, message: string): Response {
  return Response.json({ error: message }, { status, headers: HEADERS });
}
