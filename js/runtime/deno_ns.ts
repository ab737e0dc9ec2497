import { core, primordials } from "ext:core/mod.js";
import {
  op_openkv_console_size,
  op_net_listen_udp,
  op_net_listen_unixpacket,
  op_openkv_parent_process,
  op_runtime_cpu_usage,
  op_runtime_memory_usage,
} from "ext:core/ops";
import { AtomicOperation, Kv, KvListIterator, KvU64, openKv } from "ext:openkv/mod.ts";
import { errors } from "ext:openkv_runtime/errors.ts";
import { watchFs } from "ext:openkv_runtime/fs_watcher.ts";
import { lazyProperties, lazyScript, type Module } from "ext:openkv_runtime/lazy.ts";
import type { Options } from "ext:openkv_runtime/main.ts";
import { Permissions, permissions, PermissionStatus } from "ext:openkv_runtime/permissions.ts";
import { bench, inertTest, startTesting } from "ext:openkv_runtime/testing/mod.ts";

const { Float64Array, ObjectAssign, ObjectFreeze, Uint32Array } = primordials;
const { propWritableLazyLoaded } = core;

const console = core.loadExtScript("ext:deno_web/01_console.js");
const os = core.loadExtScript("ext:deno_os/30_os.js");
const timers = core.loadExtScript("ext:deno_web/02_timers.js");

const cron = lazyScript("ext:deno_cron/01_cron.ts");
const fs = lazyScript("ext:deno_fs/30_fs.js");
const http = lazyScript("ext:deno_http/01_http.js");
const httpClient = lazyScript("ext:deno_fetch/22_http_client.js");
const io = lazyScript("ext:deno_io/12_io.js");
const net = lazyScript("ext:deno_net/01_net.js");
const process = lazyScript("ext:deno_process/40_process.js");
const serve = lazyScript("ext:deno_http/00_serve.ts");
const signals = lazyScript("ext:deno_os/40_signals.js");
const tls = lazyScript("ext:deno_net/02_tls.js");
const webSocket = lazyScript("ext:deno_http/02_websocket.ts");
const quic = core.createLazyLoader("ext:deno_net/03_quic.js");
const webTransport = core.createLazyLoader("ext:deno_web/webtransport.js");

let listen: Module;
const listenDatagram = () => listen ??= net().createListenDatagram(op_net_listen_udp, op_net_listen_unixpacket);

/** The buffers that ops of the runtime write to. */
const usage = new Float64Array(4);
const size = new Uint32Array(2);

/**
 * Sets a variable, after loading a script that the snapshot lacks. When deno_core loads the first one, it reads from the
 * environment where to log that. A script must not control this, as it could have deno_core write to any file.
 */
function setEnv(name: string, value: string) {
  core.loadExtScript("ext:deno_telemetry/util.ts");
  os.env.set(name, value);
}

const env = ObjectAssign({}, os.env, { set: setEnv });

/** `Deno`. */
export const deno = {
  AtomicOperation,
  Kv,
  KvListIterator,
  KvU64,
  PermissionStatus,
  Permissions,
  bench,
  build: core.build,
  consoleSize() {
    op_openkv_console_size(size);
    return { columns: size[0], rows: size[1] };
  },
  cpuUsage() {
    op_runtime_cpu_usage(usage);
    return { system: usage[0], user: usage[1] };
  },
  env,
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
  isatty: (rid: number) => core.isTerminal(rid),
  loadavg: os.loadavg,
  memoryUsage() {
    op_runtime_memory_usage(usage);
    return { rss: usage[0], heapTotal: usage[1], heapUsed: usage[2], external: usage[3] };
  },
  networkInterfaces: os.networkInterfaces,
  openKv,
  osRelease: os.osRelease,
  osUptime: os.osUptime,
  permissions,
  get ppid() {
    return op_openkv_parent_process();
  },
  refTimer: timers.refTimer,
  systemMemoryInfo: os.systemMemoryInfo,
  test: inertTest,
  uid: os.uid,
  unrefTimer: timers.unrefTimer,
  watchFs,
};

core.defineGlobalProperties(deno, {
  ...lazyProperties(fs, [
    "FsFile",
    "chdir",
    "chmod",
    "chmodSync",
    "chown",
    "chownSync",
    "copyFile",
    "copyFileSync",
    "create",
    "createSync",
    "cwd",
    "link",
    "linkSync",
    "lstat",
    "lstatSync",
    "makeTempDir",
    "makeTempDirSync",
    "makeTempFile",
    "makeTempFileSync",
    "mkdir",
    "mkdirSync",
    "open",
    "openSync",
    "readDir",
    "readDirSync",
    "readFile",
    "readFileSync",
    "readLink",
    "readLinkSync",
    "readTextFile",
    "readTextFileSync",
    "realPath",
    "realPathSync",
    "remove",
    "removeSync",
    "rename",
    "renameSync",
    "stat",
    "statSync",
    "symlink",
    "symlinkSync",
    "truncate",
    "truncateSync",
    "umask",
    "utime",
    "utimeSync",
    "writeFile",
    "writeFileSync",
    "writeTextFile",
    "writeTextFileSync",
  ]),
  ...lazyProperties(http, ["serveHttp"]),
  ...lazyProperties(cron, ["cron"]),
  ...lazyProperties(httpClient, ["HttpClient", "createHttpClient"]),
  ...lazyProperties(io, ["SeekMode", "stderr", "stdin", "stdout"]),
  ...lazyProperties(net, ["connect", "listen", "resolveDns"]),
  listenDatagram: propWritableLazyLoaded((listen: Module) => listen, listenDatagram),
  ...lazyProperties(process, [
    "ChildProcess",
    "Command",
    "Process",
    "kill",
    "run",
    "spawn",
    "spawnAndWait",
    "spawnAndWaitSync",
  ]),
  ...lazyProperties(quic, [
    "QuicBidirectionalStream",
    "QuicConn",
    "QuicEndpoint",
    "QuicIncoming",
    "QuicListener",
    "QuicReceiveStream",
    "QuicSendStream",
    "connectQuic",
  ]),
  ...lazyProperties(serve, ["serve"]),
  ...lazyProperties(signals, ["addSignalListener", "removeSignalListener"]),
  ...lazyProperties(tls, ["connectTls", "listenTls", "startTls"]),
  ...lazyProperties(webSocket, ["upgradeWebSocket"]),
  ...lazyProperties(webTransport, ["upgradeWebTransport"]),
});

/** Adds the properties that depend on the process. Called once, after the snapshot has been restored. */
export function completeDeno({ args, mainModule, noColor, pid, testing, version, worker }: Options) {
  ObjectAssign(deno, {
    args,
    ...(worker === undefined ? { mainModule } : {}),
    noColor,
    pid,
    test: testing ? startTesting() : inertTest,
    version: ObjectFreeze({ deno: version.deno, v8: version.v8, typescript: version.typescript }),
  });
}
