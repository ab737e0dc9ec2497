// Checks the arguments that scripts pass to ops of Deno's crates. These would crash the process:
// - a symbol where serde_v8 deserializes a value of any type, as for untagged enums and flattened fields;
// - an element whose getter throws, where deno_core converts an array to a vector;
// - a sparse array whose length exceeds the available memory.
// So the ops that are affected get copies, or a list that has been checked.
//
// Must be imported before any module that loads a script of these crates, as each script captures the ops that it finds.

import { core, primordials } from "ext:core/mod.js";

const {
  ArrayIsArray,
  ArrayPrototypeIncludes,
  Error,
  FunctionPrototypeCall,
  ObjectCreate,
  ObjectEntries,
  ObjectHasOwn,
  ObjectKeys,
  ObjectSetPrototypeOf,
  SafeArrayIterator,
  TypeError,
} = primordials;

type Fields = Record<string, unknown>;
// deno-lint-ignore no-explicit-any
type Op = (...args: any[]) => unknown;

/**
 * Returns a copy of plain data for an op. Getters and proxies run here, once, so that the op gets the values that were checked.
 * Values that are nested deeper than `depth` are left out.
 */
export function plain<T>(value: T, name: string, depth: number): T {
  if (typeof value === "symbol") throw new TypeError(`Invalid value for '${name}': it must not be a symbol`);
  if (value === null || (typeof value !== "object" && typeof value !== "function")) return value;
  // Without a prototype, so that no setter of a script intercepts the copied values.
  const copy: Fields = ObjectSetPrototypeOf(ArrayIsArray(value) ? [] as unknown as Fields : {}, null);
  if (depth > 0) {
    const keys = ObjectKeys(value);
    if (ArrayIsArray(value) && value.length > keys.length) throw sparseError(name);
    for (const key of new SafeArrayIterator(keys)) {
      copy[key] = plain((value as Fields)[key], `${name}.${key}`, depth - 1);
    }
  }
  return copy as T;
}

/**
 * Returns a list that scripts of Deno's crates have created, after checking that each element is its own. A setter that a script
 * has added to `Array.prototype` may have intercepted one.
 */
function dense(list: unknown[], name: string): unknown[] {
  for (let i = 0; i < list?.length; i++) {
    if (!ObjectHasOwn(list, i)) throw sparseError(name);
  }
  return list;
}

function sparseError(name: string): Error {
  return new TypeError(`Invalid value for '${name}': it must not have holes`);
}

/** The options of a command that serde_v8 deserializes to known types. */
const TYPED = ["args", "argv0", "clearEnv", "cmd", "cwd", "env", "input"];

const command = (op: Op): Op => (options: Fields, api: string) => {
  for (const name of new SafeArrayIterator(ObjectKeys(options))) {
    if (!ArrayPrototypeIncludes(TYPED, name)) options[name] = plain(options[name], name, 1);
  }
  return op(options, api);
};

/** Copies the lists in the options of a TLS connection. */
function tls(options: Fields): Fields {
  for (const name of new SafeArrayIterator(["alpnProtocols", "caCerts"])) {
    if (options[name] !== undefined) options[name] = plain(options[name], name, 1);
  }
  return options;
}

/** The wrappers of ops, by name. They modify only objects that Deno's scripts have created for the call. */
const CHECKED: Record<string, (op: Op) => Op> = {
  __proto__: null as unknown as () => Op,
  op_blob_create_object_url: (op) => (type, parts) => op(type, dense(parts, "blob")),
  op_fetch: (op) => (method, url, headers, client, hasBody, body, resource) =>
    op(method, url, dense(headers, "headers"), client, hasBody, body, resource),
  op_fetch_custom_client: (op) => (options: Fields, keys) => {
    options.caCerts = plain(options.caCerts, "caCerts", 1);
    options.poolIdleTimeout = plain(options.poolIdleTimeout, "poolIdleTimeout", 0);
    options.proxy = plain(options.proxy, "proxy", 2);
    return op(options, keys);
  },
  op_http_set_response_body_bytes_with_headers: (op) => (request, body, status, headers) =>
    op(request, body, status, dense(headers, "headers")),
  op_http_set_response_body_text_with_headers: (op) => (request, body, status, headers) =>
    op(request, body, status, dense(headers, "headers")),
  op_kill: (op) => (pid, signal, api) => op(pid, plain(signal, "signal", 0), api),
  op_message_port_post_message: (op) => (rid, message: Fields) => {
    message.transferables = plain(message.transferables, "transfer", 3);
    return op(rid, message);
  },
  op_net_connect_tls: (op) => (address, options, keys, attempts) => op(address, tls(options), keys, attempts),
  op_net_listen_tls: (op) => (address, options, keys) => op(address, tls(options), keys),
  op_node_spawn_child: command,
  op_run: command,
  op_spawn_child: command,
  op_spawn_kill: (op) => (rid, signal) => op(rid, plain(signal, "signal", 0)),
  op_spawn_sync: command,
  op_tls_start: (op) => (options, keys) => op(tls(options), keys),
  op_url_stringify_search_params: (op) => (list) => op(dense(list, "searchParams")),
  op_ws_create: (op) => (api, url, protocols, cancel, headers, certificates, unchecked, client) =>
    op(api, url, protocols, cancel, dense(headers, "headers"), plain(certificates, "caCerts", 1), unchecked, client),
};

/** Returns the ops that scripts loaded on first use see: deno_core has a separate object for them. */
function laterOps(): Record<string, Op> {
  const { __bootstrap } = globalThis;
  delete globalThis.__bootstrap;
  const ops = core.loadExtScript("ext:openkv_runtime/later_ops.js");
  globalThis.__bootstrap = __bootstrap;
  return ops;
}

for (const ops of new SafeArrayIterator<Record<string, Op>>([core.ops as unknown as Record<string, Op>, laterOps()])) {
  for (const { 0: name, 1: checked } of new SafeArrayIterator(ObjectEntries(CHECKED))) {
    if (typeof ops[name] !== "function") throw new Error(`The op ${name} does not exist: find out what has replaced it`);
    ops[name] = checked(ops[name]);
  }
}

// The members of a key are read by a method instead of an op.
const subtle = core.ops.SubtleCrypto.prototype;
const { importKey } = subtle;
subtle.importKey = function (...args: unknown[]) {
  const { 0: format, 1: key } = args as [unknown, Fields];
  if (format === "jwk" && ArrayIsArray(key?.key_ops)) {
    args[1] = ObjectCreate(key, { key_ops: { __proto__: null, value: plain(key.key_ops, "key_ops", 1) } });
  }
  return FunctionPrototypeCall(importKey, this, ...new SafeArrayIterator(args));
};
