// The server of `openkv studio`. Its settings are its only argument.

interface Settings {
  /** The databases, with the URL of the script or configuration file that each belongs to, if it is known. */
  databases: { path: string; script: string | null }[];
  /** The files of the page: path, media type, text. */
  files: [path: string, type: string, text: string][];
  /** The TCP port, or 0 for any that is free. */
  port: number;
  /** The program that opens a URL in the browser, unless the address is only printed. */
  opener: string | null;
}

const PAGE_SIZE = 100;
/** The length at which a value in the list of entries is cut off. */
const MAX_VALUE_LENGTH = 2000;

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

const settings: Settings = JSON.parse(Deno.args[0]);
const files = new Map(settings.files.map(([path, type, text]) => [path, { type, text }]));
const opened = new Map<number, Promise<Deno.Kv>>();
const token = crypto.getRandomValues(new Uint8Array(32)).toHex();

const server = Deno.serve({ hostname: "127.0.0.1", port: settings.port, onListen }, handle);
Deno.addSignalListener("SIGINT", () => server.shutdown());
if (Deno.build.os !== "windows") Deno.addSignalListener("SIGTERM", () => server.shutdown());
await server.finished;
for (const kv of opened.values()) (await kv.catch(() => undefined))?.close();

function onListen({ port }: Deno.NetAddr) {
  const address = `http://127.0.0.1:${port}/#${token}`;
  console.log(address);
  if (settings.opener === null) return;
  try {
    new Deno.Command(settings.opener, { args: [address], stdin: "null", stdout: "null", stderr: "null" }).spawn().unref();
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
  if (request.method !== "GET") return failure(405, "the method is not supported");
  const { pathname, searchParams } = new URL(request.url);
  const file = files.get(pathname);
  if (file) return new Response(file.text, { headers: { ...HEADERS, "content-type": file.type } });
  if (!isToken(request.headers.get("authorization"))) {
    return failure(401, "the token is missing or wrong: open the address that `openkv studio` has printed");
  }
  try {
    if (pathname === "/api/databases") return json(await databases());
    if (pathname === "/api/entries") return json(await entries(searchParams));
  } catch (error) {
    return failure(400, error instanceof Error ? error.message : String(error));
  }
  return failure(404, "there is no such page");
}

/** Compares a header with the token in a time that does not depend on where they differ. */
function isToken(header: string | null): boolean {
  const expected = `Bearer ${token}`;
  if (header?.length !== expected.length) return false;
  let difference = 0;
  for (let i = 0; i < expected.length; i++) difference |= expected.charCodeAt(i) ^ header.charCodeAt(i);
  return difference === 0;
}

function databases() {
  return Promise.all(settings.databases.map(async ({ path, script }) => {
    // A URL has no size.
    const size = await Deno.stat(path).then(({ size }) => size, () => null);
    return { path, script, size };
  }));
}

async function entries(parameters: URLSearchParams) {
  const kv = await open(Number(parameters.get("database") ?? NaN));
  const cursor = parameters.get("cursor") ?? undefined;
  const list = kv.list({ prefix: [] }, { limit: PAGE_SIZE, cursor });
  const entries = [];
  for await (const { key, value, versionstamp } of list) {
    entries.push({ key: inspect(key), value: inspect(value), versionstamp });
  }
  return { entries, cursor: entries.length < PAGE_SIZE ? "" : list.cursor };
}

function open(database: number): Promise<Deno.Kv> {
  const path = settings.databases[database]?.path;
  if (path === undefined) throw new Error("there is no such database");
  let kv = opened.get(database);
  if (!kv) {
    kv = Deno.openKv(path);
    opened.set(database, kv);
    // A later request tries again.
    kv.catch(() => opened.delete(database));
  }
  return kv;
}

function inspect(value: unknown): string {
  const text = Deno.inspect(value, { depth: 4, strAbbreviateSize: MAX_VALUE_LENGTH });
  return text.length > MAX_VALUE_LENGTH ? `${text.slice(0, MAX_VALUE_LENGTH)}...` : text;
}

function json(value: unknown): Response {
  return Response.json(value, { headers: HEADERS });
}

function failure(status: number, message: string): Response {
  return Response.json({ error: message }, { status, headers: HEADERS });
}
