import { core, primordials } from "ext:core/mod.js";
import { AtomicOperation, Kv, KvListIterator, KvU64, openKv } from "ext:openkv/mod.ts";
import { errors } from "ext:openkv_runtime/errors.ts";
import type { Options } from "ext:openkv_runtime/main.ts";

const { ObjectFreeze } = primordials;

const console = core.loadExtScript("ext:deno_web/01_console.js");
const os = core.loadExtScript("ext:deno_os/30_os.js");
const timers = core.loadExtScript("ext:deno_web/02_timers.js");

/** `Deno`, for a script that runs with these options. */
export function denoNamespace({ args, mainModule, noColor, pid, version }: Options) {
  return {
    AtomicOperation,
    Kv,
    KvListIterator,
    KvU64,
    args,
    build: core.build,
    env: os.env,
    errors,
    execPath: os.execPath,
    exit: os.exit,
    get exitCode() {
      return os.getExitCode();
    },
    set exitCode(code: number) {
      os.setExitCode(code);
    },
    gid: os.gid,
    hostname: os.hostname,
    inspect: console.inspect,
    loadavg: os.loadavg,
    mainModule,
    networkInterfaces: os.networkInterfaces,
    noColor,
    openKv,
    osRelease: os.osRelease,
    osUptime: os.osUptime,
    pid,
    refTimer: timers.refTimer,
    systemMemoryInfo: os.systemMemoryInfo,
    uid: os.uid,
    unrefTimer: timers.unrefTimer,
    version: ObjectFreeze({ deno: version.deno, v8: version.v8, typescript: version.typescript }),
  };
}
