// The stores to compare, behind one interface. Each is used as its documentation recommends, and syncs each commit to the disk.
import { userKey } from "../users.ts";

/** Checks a value that was read. */
export type Check = (value: unknown) => boolean;

/** Returns the value of an entry. */
export type MakeValue = (i: number) => unknown;

/** A store with entries, which are numbered from 0. */
export interface Store {
  /** Awaits the read of one entry after another. Returns how many have a valid value. */
  getEach(first: number, count: number, check: Check): Promise<number>;
  /** Awaits the write of one entry after another. */
  setEach(first: number, count: number, value: MakeValue): Promise<void>;
  /** Reads all entries in order. Returns how many have a valid value. */
  list(check: Check): Promise<number>;
  /** Writes entries in one transaction. */
  load(first: number, count: number, value: MakeValue): Promise<void>;
  close(): Promise<void>;
}

/** Opens a store in an existing directory, with the keys of a number of entries. */
export const stores: Record<string, (directory: string, count: number) => Promise<Store>> = {
  "kv": openKv,
  "lmdb": openLmdb,
  "better-sqlite3": openBetterSqlite3,
  "classic-level": openClassicLevel,
};

async function openKv(directory: string, count: number): Promise<Store> {
  const kv = await Deno.openKv(`${directory}/kv.sqlite3`);
  const keys = Array.from({ length: count }, (_, i) => userKey(i));
  return {
    async getEach(first, count, check) {
      let valid = 0;
      for (let i = first; i < first + count; i++) if (check((await kv.get(keys[i])).value)) valid++;
      return valid;
    },
    async setEach(first, count, value) {
      for (let i = first; i < first + count; i++) await kv.set(keys[i], value(i));
    },
    async list(check) {
      let valid = 0;
      for await (const entry of kv.list({ prefix: ["users"] })) if (check(entry.value)) valid++;
      return valid;
    },
    async load(first, count, value) {
      const atomic = kv.atomic();
      for (let i = first; i < first + count; i++) atomic.set(userKey(i), value(i));
      await atomic.commit();
    },
    close: () => Promise.resolve(kv.close()),
  };
}

/** What is used of the package `lmdb`. */
interface Lmdb {
  open(options: { path: string; overlappingSync: boolean }): {
    get(key: Deno.KvKey): unknown;
    put(key: Deno.KvKey, value: unknown): Promise<boolean>;
    getRange(options: { start: Deno.KvKey; end: Deno.KvKey }): Iterable<{ key: unknown; value: unknown }>;
    transaction(action: () => void): Promise<void>;
    close(): Promise<void>;
  };
}

async function openLmdb(directory: string, count: number): Promise<Store> {
  const { open } = await load<Lmdb>("lmdb");
  // Otherwise, a put is acknowledged before its sync.
  const db = open({ path: `${directory}/lmdb`, overlappingSync: false });
  const keys = Array.from({ length: count }, (_, i) => userKey(i));
  return {
    async getEach(first, count, check) {
      let valid = 0;
      for (let i = first; i < first + count; i++) if (check(await db.get(keys[i]))) valid++;
      return valid;
    },
    async setEach(first, count, value) {
      for (let i = first; i < first + count; i++) await db.put(keys[i], value(i));
    },
    list(check) {
      let valid = 0;
      for (const entry of db.getRange({ start: ["users"], end: ["users", "\uffff"] })) if (check(entry.value)) valid++;
      return Promise.resolve(valid);
    },
    load: (first, count, value) =>
      db.transaction(() => {
        for (let i = first; i < first + count; i++) db.put(userKey(i), value(i));
      }),
    close: () => db.close(),
  };
}

/** What is used of the package `better-sqlite3`. */
interface BetterSqlite3 {
  default: new (path: string) => {
    pragma(text: string): void;
    exec(sql: string): void;
    prepare(sql: string): {
      run(...values: unknown[]): void;
      get(...values: unknown[]): { v: Uint8Array };
      iterate(...values: unknown[]): Iterable<{ k: string; v: Uint8Array }>;
    };
    transaction(action: () => void): () => void;
    close(): void;
  };
}

async function openBetterSqlite3(directory: string, count: number): Promise<Store> {
  const { default: Database } = await load<BetterSqlite3>("better-sqlite3");
  const { deserialize, serialize } = await import("node:v8");
  const db = new Database(`${directory}/better.sqlite3`);
  db.pragma("journal_mode = wal");
  db.pragma("synchronous = full");
  db.exec("create table if not exists kv (k text primary key, v blob not null) without rowid");
  const get = db.prepare("select v from kv where k = ?");
  const list = db.prepare("select k, v from kv where k >= ? and k < ? order by k");
  const set = db.prepare("insert into kv (k, v) values (?, ?) on conflict (k) do update set v = excluded.v");
  const keys = Array.from({ length: count }, (_, i) => textKey(i));
  return {
    async getEach(first, count, check) {
      let valid = 0;
      for (let i = first; i < first + count; i++) if (check(await deserialize(get.get(keys[i]).v))) valid++;
      return valid;
    },
    async setEach(first, count, value) {
      for (let i = first; i < first + count; i++) await set.run(keys[i], serialize(value(i)));
    },
    list(check) {
      let valid = 0;
      for (const row of list.iterate("users/", "users0")) if (check(deserialize(row.v))) valid++;
      return Promise.resolve(valid);
    },
    load(first, count, value) {
      db.transaction(() => {
        for (let i = first; i < first + count; i++) set.run(textKey(i), serialize(value(i)));
      })();
      return Promise.resolve();
    },
    close: () => Promise.resolve(db.close()),
  };
}

/** What is used of the package `classic-level`. */
interface ClassicLevel {
  ClassicLevel: new (path: string, options: { valueEncoding: "buffer" }) => {
    open(): Promise<void>;
    get(key: string): Promise<Uint8Array>;
    put(key: string, value: Uint8Array, options: { sync: boolean }): Promise<void>;
    iterator(): AsyncIterable<[string, Uint8Array]>;
    batch(operations: { type: "put"; key: string; value: Uint8Array }[], options: { sync: boolean }): Promise<void>;
    close(): Promise<void>;
  };
}

async function openClassicLevel(directory: string, count: number): Promise<Store> {
  const { ClassicLevel } = await load<ClassicLevel>("classic-level");
  const { deserialize, serialize } = await import("node:v8");
  const db = new ClassicLevel(`${directory}/level`, { valueEncoding: "buffer" });
  await db.open();
  const keys = Array.from({ length: count }, (_, i) => textKey(i));
  return {
    async getEach(first, count, check) {
      let valid = 0;
      for (let i = first; i < first + count; i++) if (check(deserialize(await db.get(keys[i])))) valid++;
      return valid;
    },
    async setEach(first, count, value) {
      for (let i = first; i < first + count; i++) await db.put(keys[i], serialize(value(i)), { sync: true });
    },
    async list(check) {
      let valid = 0;
      for await (const [, value] of db.iterator()) if (check(deserialize(value))) valid++;
      return valid;
    },
    async load(first, count, value) {
      const puts = Array.from({ length: count }, (_, i) => {
        return { type: "put" as const, key: textKey(first + i), value: serialize(value(first + i)) };
      });
      await db.batch(puts, { sync: true });
    },
    close: () => db.close(),
  };
}

/** Returns the key of an entry for stores whose keys are strings. */
function textKey(i: number): string {
  return userKey(i).join("/");
}

/** Imports a package that only Node has, under a name that type checkers do not resolve. */
async function load<Package>(name: string): Promise<Package> {
  return await import(name);
}
