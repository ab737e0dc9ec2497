import { core } from "ext:core/mod.js";
import { lazyScript } from "ext:openkv_runtime/lazy.ts";

const serve = lazyScript("ext:deno_http/00_serve.ts");

const NOT_A_SERVER =
  'error: openkv serve requires export default { fetch } in the main module, did you mean to run "openkv run"?\n';

/** Serves the default export of a module. Without one that has `fetch`, prints why there is no server, as Deno does. */
export function startServer(exports: { default?: unknown }, host: string, port: number) {
  const server = exports.default;
  const start = typeof server === "object" && server !== null && serve().registerDeclarativeServer(server);
  if (start) {
    start({ serveHost: host, servePort: port, workerCountWhenMain: 0 });
  } else {
    core.print(NOT_A_SERVER, true);
  }
}
