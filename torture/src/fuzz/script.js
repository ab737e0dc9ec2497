// The environment of generated scripts. `torture` runs one, and returns the violated guarantees.

const fail = () => { throw new Error("thrown by a script"); };

/** Unusual values, by name. */
const hard = (t) => {
  const traps = (trap) => {
    const names = ["get", "has", "ownKeys", "getOwnPropertyDescriptor", "getPrototypeOf", "set", "apply", "construct"];
    return Object.fromEntries(names.map((name) => [name, trap(name)]));
  };
  const after = (effect) => (name) => (...args) => (effect(), Reflect[name](...args));
  const withGetter = (object, name, get) => Object.defineProperty(object, name, { enumerable: true, configurable: true, get });
  const detached = () => {
    const buffer = new ArrayBuffer(16);
    const view = new Uint8Array(buffer);
    buffer.transfer();
    return view;
  };
  const outOfBounds = (Class) => {
    const buffer = new ArrayBuffer(64, { maxByteLength: 128 });
    const view = new Class(buffer, 16, 4);
    buffer.resize(8);
    return view;
  };
  const tracking = () => {
    const buffer = new ArrayBuffer(8, { maxByteLength: 1 << 16 });
    const view = new Uint8Array(buffer);
    buffer.resize(1 << 12);
    return view;
  };
  const cyclic = () => {
    const object = { list: [], map: new Map() };
    object.list.push(object);
    object.map.set(object, object.list);
    return object;
  };
  const deep = () => {
    let object = {};
    for (let i = 0; i < 20_000; i++) object = i % 2 ? [object] : { object };
    return object;
  };
  const shrinking = () => {
    const list = ["a", 1, 2, 3];
    return withGetter(list, 1, () => (list.length = 0, "b"));
  };
  const growing = () => {
    const list = ["a", 1];
    return withGetter(list, 1, () => (list.length < 99 && list.push("b", new Uint8Array(9)), 7));
  };
  const holes = () => Object.assign([], { length: 100_000, 5: "a" });
  const revoked = () => {
    const { proxy, revoke } = Proxy.revocable([], {});
    revoke();
    return proxy;
  };
  const badStack = () => Object.defineProperty(new Error("e"), "stack", { get: fail });
  const branded = (data) => ({ [t.brand]: data });
  const resizing = () => {
    const buffer = new ArrayBuffer(64, { maxByteLength: 128 });
    return withGetter({ view: new Uint8Array(buffer) }, "a", () => (buffer.resize(0), new Uint8Array(buffer)));
  };
  return {
    badStack, branded, cyclic, deep, detached, fail, growing, holes, outOfBounds, resizing, revoked, shrinking, tracking,
    closing: (value) => new Proxy(value, traps(after(() => t.reenter(t.close)))),
    closingGetter: (name, value) => withGetter({}, name, () => (t.reenter(t.close), value)),
    closingKey: () => withGetter(["a", "b"], 1, () => (t.reenter(t.close), "b")),
    reading: (name) => withGetter({}, name, () => (t.reenter(() => t.kv.get(["t", 1]).catch(() => {})), 1)),
    throwing: (value) => new Proxy(value, traps(() => fail)),
    throwingGetter: (name) => withGetter({}, name, fail),
    throwingKey: () => withGetter(["a", "b"], 1, fail),
  };
};

/**
 * Functions that are not called, because they terminate processes, wait forever for another handle of this process, or revoke the
 * permissions of the rest of the run.
 */
const EXCLUDED = [
  "Deno.exit",
  "Deno.kill",
  "FsFile.prototype.lock",
  "FsFile.prototype.lockSync",
  "Deno.permissions.revoke",
  "Deno.permissions.revokeSync",
  "Permissions.prototype.revoke",
  "Permissions.prototype.revokeSync",
];

/** Returns all functions that are reachable from a namespace, with their holders: its own, those of its classes, and accessors. */
function members(namespace) {
  const members = [];
  // Excludes the built-ins of the language: calling their setters would break the script itself.
  const classes = [Array, BigInt, Boolean, Date, Error, Function, Map, Number, Object, Promise, RegExp, Set, String, Symbol];
  const seen = new Set([globalThis, ...classes, Object.getPrototypeOf(Uint8Array), Uint8Array].flatMap((known) => [known, known.prototype]));
  const visit = (object, path) => {
    if (seen.has(object)) return;
    seen.add(object);
    for (const key of Reflect.ownKeys(object)) {
      const name = `${path}.${String(key)}`;
      if (key === "constructor" || EXCLUDED.some((excluded) => name.endsWith(excluded))) continue;
      const { get, set } = Object.getOwnPropertyDescriptor(object, key);
      let value;
      try { value = object[key]; } catch { /* The getter requires an instance. */ }
      // A lazily loaded value is an accessor until its first use.
      for (const call of typeof value === "function" ? [value] : [get, set, value]) {
        if (typeof call === "function") members.push({ name, holder: object, call });
        if (typeof call === "function" || (typeof call === "object" && call !== null)) visit(call, name);
      }
    }
    const prototype = Object.getPrototypeOf(object);
    if (prototype !== null) visit(prototype, `${path}.${prototype.constructor?.name}.prototype`);
  };
  visit(namespace, "Deno");
  return members;
}

/** Returns the versions of the entries that checked writes may have written. */
async function versions(kv) {
  const versions = new Set();
  for await (const { key, versionstamp } of kv.list({ prefix: ["t"] }, { values: false })) {
    versions.add(`${key.map(String).join()} ${versionstamp}`);
  }
  return versions;
}

async function torture({ openKv, KvU64, ops, path, Deno: namespace, directory, reenters = true }, script) {
  const opened = [];
  const rids = [];
  const pending = [];
  const endless = [];
  const violations = [];
  const keep = (list, result) => {
    // The promise may be rejected, but must be settled.
    if (result instanceof Promise) list.push(result.catch(() => {}));
  };
  const functions = namespace ? torture.members ??= members(namespace) : [];
  const objects = [];
  const timers = [];
  /** Keeps the result of a call for further calls. */
  const returned = (value) => {
    if (value instanceof Promise) value.then(returned, () => {});
    // Closing the global object would end the script.
    else if (value === globalThis) return;
    else if ((typeof value === "object" && value !== null) || typeof value === "function") objects.push(value);
  };
  const t = {
    KvU64,
    ops,
    directory,
    /** Calls an op while another one reads its arguments. */
    reenter(effect) {
      if (reenters) effect();
    },
    /** Calls a function of the namespace, by its number. The promise may never be settled. */
    call(number, ...args) {
      if (functions.length === 0) return;
      const { holder, call } = functions[number % functions.length];
      returned(Reflect.apply(call, holder, args));
    },
    construct(number, ...args) {
      if (functions.length === 0) return;
      returned(Reflect.construct(functions[number % functions.length].call, args));
    },
    callOn(number, object, ...args) {
      if (functions.length === 0) return;
      returned(Reflect.apply(functions[number % functions.length].call, object, args));
    },
    /** Calls a method of the result of an earlier call. */
    use(object, number, ...args) {
      const holder = t.kept(object);
      if (holder === undefined) return;
      const methods = members(holder);
      if (methods.length > 0) returned(Reflect.apply(methods[number % methods.length].call, holder, args));
    },
    kept: (number) => objects[number % objects.length],
    timer(handler, delay) {
      try { timers.push(globalThis.setTimeout?.(handler, delay)); } catch { /* It may throw. */ }
    },
    brand: ops?.brand ?? Object.getOwnPropertySymbols(globalThis.Blob?.prototype ?? {}).at(-1) ?? Symbol("brand"),
    violations,
    /** Opens a database, in the file or in memory, for the following calls. */
    async open(inFile) {
      t.kv = await openKv(inFile ? path : ":memory:");
      opened.push(t.kv);
      if (!ops) return;
      rids.push(t.rid = await ops.op_openkv_open(inFile ? path : ":memory:"));
      t.mutations = ops.op_openkv_mutations();
    },
    close() {
      try { t.kv.close(); } catch { /* It is already closed. */ }
    },
    /** Calls a function whose promise settles by itself. */
    act(act) {
      try { keep(pending, act()); } catch { /* It may throw. */ }
    },
    /** Calls a function whose promise may stay pending until the database is closed. */
    begin(act) {
      try { keep(endless, act()); } catch { /* It may throw. */ }
    },
    settle: () => Promise.all(pending.splice(0)),
    /** Reads some entries of a list. */
    async list(...args) {
      const entries = t.kv.list(...args);
      for (let i = 0; i < 9; i++) {
        const { done, value } = await entries.next();
        if (done) break;
        value.cursor, entries.cursor;
      }
    },
    /** Reads the items of a watch. */
    async watch(...args) {
      for await (const entries of t.kv.watch(...args)) entries.length;
    },
    /** Commits a write by itself, and checks that it writes nothing if it is rejected. */
    async checked(build) {
      await t.settle();
      const before = await versions(t.kv).catch(() => undefined);
      let failure;
      try {
        const write = t.kv.atomic();
        build(write);
        failure = (await write.commit()).ok ? undefined : "a failed check";
      } catch (error) {
        failure = (() => { try { return String(error); } catch { return "an error"; } })();
      }
      if (before === undefined || failure === undefined) return;
      const after = await versions(t.kv).catch(() => new Set());
      for (const version of after) if (!before.has(version)) violations.push(`${failure} wrote ${version}`);
    },
  };
  t.hard = hard(t);
  try { await script(t); } catch { /* It may throw. */ }
  await t.settle();
  // Lets started timers and operations run.
  if (timers.length > 0 || objects.length > 0) await new Promise((resolve) => setTimeout(resolve, 0));
  for (const timer of timers) clearTimeout(timer);
  delete Error.prepareStackTrace;
  Error.stackTraceLimit = 10;
  for (const object of objects) {
    for (const end of ["close", "shutdown", "abort", "cancel"]) try { object[end]().catch(() => {}); } catch { /* It may lack the method. */ }
  }
  for (const kv of opened) try { kv.close(); } catch { /* It is already closed. */ }
  rids.forEach((rid) => Deno.core.tryClose(rid));
  await Promise.all(endless);
  return violations;
}
