// The commands of `openkv db` that read and write entries.

import { list, remove, set, show, watch } from "./entries.ts";
import { exportEntries } from "./export.ts";
import { importEntries } from "./import.ts";
import type { Settings } from "./settings.ts";

/** The commands, which return the exit code of the process. */
const COMMANDS: Record<Settings["command"], (kv: Deno.Kv, settings: Settings) => Promise<number>> = {
  delete: remove,
  export: exportEntries,
  get: show,
  import: importEntries,
  list,
  set,
  watch,
};

const settings: Settings = JSON.parse(Deno.args[0]);
try {
  using kv = await Deno.openKv(settings.database);
  Deno.exitCode = await COMMANDS[settings.command](kv, settings);
} catch (error) {
  // A reader such as `head` has closed the pipe.
  if (!(error instanceof Deno.errors.BrokenPipe)) {
    console.error(`%cerror%c: ${error instanceof Error ? error.message : error}`, "color: red; font-weight: bold", "");
    Deno.exitCode = 1;
  }
}
