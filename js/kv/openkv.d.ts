// The types of Deno KV in OpenKV. Additions to Deno's API are marked with @addition.

declare namespace Deno {
  /**
   * Opens a database.
   *
   * @param path The path of a file, which is created if it does not exist, and needs read and write permission; ":memory:"
   * for a private database in memory; or nothing for the default database of the script. A file may also be a URI, such as
   * "file:///dir/kv.db". "file::memory:?cache=shared" and "file:NAME?mode=memory&cache=shared" are databases in memory that
   * are shared within the process under this name.
   */
  export function openKv(path?: string): Promise<Kv>;

  /** A key: a sequence of parts. */
  export type KvKey = readonly KvKeyPart[];

  /** A part of a key. Parts of different types sort in the order listed here, and false before true. */
  export type KvKeyPart = Uint8Array | string | bigint | number | boolean | symbol;

  /** The consistency of a read. Databases in files are always strongly consistent. */
  export type KvConsistencyLevel = "strong" | "eventual";

  /** An entry. */
  export interface KvEntry<T> {
    key: KvKey;
    value: T;
    /** The version of the commit that stored the value: 20 hexadecimal digits, which increase with every commit. */
    versionstamp: string;
  }

  /** An entry, or the absence of one. */
  export type KvEntryMaybe<T> = KvEntry<T> | { key: KvKey; value: null; versionstamp: null };

  /**
   * When an entry expires.
   * @addition
   */
  export interface KvExpiry {
    key: KvKey;
    /** The version of the entry, or null if there is none. */
    versionstamp: string | null;
    /** When it expires, in milliseconds since the Unix epoch by the clock of the database, or null if it does not. */
    expiresAt: number | null;
  }

  /** An entry of a listing. */
  export interface KvListEntry<T> extends KvEntry<T> {
    /**
     * The cursor that continues the listing after this entry. Not enumerable.
     * @addition
     */
    readonly cursor: string;
  }

  /** A range of entries: those with a prefix, those from a start (inclusive) to an end (exclusive), or both. */
  export type KvListSelector =
    | { prefix: KvKey }
    | { prefix: KvKey; start: KvKey }
    | { prefix: KvKey; end: KvKey }
    | { start: KvKey; end: KvKey }
    /** @addition */
    | { prefix: KvKey; start: KvKey; end: KvKey };

  export interface KvListOptions {
    /** The maximum number of entries to list. */
    limit?: number;
    /** The cursor to continue after. */
    cursor?: string;
    /** Whether to list in descending order of keys. */
    reverse?: boolean;
    consistency?: KvConsistencyLevel;
    /** The number of entries to read in one batch. Defaults to the limit, up to 500, or to 100 without a limit. */
    batchSize?: number;
    /**
     * Whether to read values. If false, `value` is undefined.
     * @addition
     */
    values?: boolean;
  }

  export interface KvSetOptions {
    /** The time to live of the value, in milliseconds. */
    expireIn?: number;
  }

  export interface KvEnqueueOptions {
    /** The delay before the first delivery, in milliseconds: up to 30 days. */
    delay?: number;
    /** The keys to store the message under if its last delivery fails. */
    keysIfUndelivered?: KvKey[];
    /**
     * The intervals between deliveries of a message whose handler fails, in milliseconds: up to five, each up to an hour.
     * Defaults to 100, 1000, 5000, 30000 and 60000.
     */
    backoffSchedule?: number[];
  }

  export interface KvCommitResult {
    ok: true;
    /** The version of all entries that the commit wrote. */
    versionstamp: string;
  }

  /** The result of a commit that wrote nothing, because a check failed. */
  export interface KvCommitError {
    ok: false;
    /**
     * The keys whose check failed. Not enumerable.
     * @addition
     */
    readonly failedChecks: KvKey[];
  }

  /** A condition of a commit: that a key has this versionstamp or, if null, no value. */
  export interface AtomicCheck {
    key: KvKey;
    versionstamp: string | null;
  }

  export type KvMutation =
    & { key: KvKey }
    & (
      | { type: "set"; value: unknown; expireIn?: number }
      | { type: "delete" }
      | { type: "sum"; value: KvU64 }
      | { type: "min"; value: KvU64 }
      | { type: "max"; value: KvU64 }
    );

  /** An open database. */
  export class Kv implements Disposable {
    private constructor();

    /** Reads an entry. */
    get<T = unknown>(key: KvKey, options?: { consistency?: KvConsistencyLevel }): Promise<KvEntryMaybe<T>>;

    /** Reads up to ten entries in one snapshot. */
    getMany<T extends readonly unknown[]>(
      keys: readonly [...{ [K in keyof T]: KvKey }],
      options?: { consistency?: KvConsistencyLevel },
    ): Promise<{ [K in keyof T]: KvEntryMaybe<T[K]> }>;

    /**
     * Reads when up to 1000 entries expire, in one snapshot. The versionstamp tells whether that is the entry that was read
     * before. Throws `NotSupported` for a database of a server that cannot tell, as those other than OpenKV.
     * @addition
     */
    getExpiries(keys: readonly KvKey[]): Promise<KvExpiry[]>;

    /** Stores a value. */
    set(key: KvKey, value: unknown, options?: KvSetOptions): Promise<KvCommitResult>;

    /** Deletes an entry, if it exists. */
    delete(key: KvKey): Promise<void>;

    /** Lists entries in the order of their keys. Options may also be in the selector; those in `options` take precedence. */
    list<T = unknown>(selector: KvListSelector & KvListOptions, options?: KvListOptions): KvListIterator<T>;

    /**
     * Counts entries.
     * @addition
     */
    count(selector: KvListSelector): Promise<number>;

    /**
     * Deletes the first entries of a selector, up to 10,000, in one commit. Returns their number: to delete all, call it
     * until it returns 0.
     * @addition
     */
    deleteRange(selector: KvListSelector): Promise<number>;

    /** Adds a message to the queue. */
    enqueue(value: unknown, options?: KvEnqueueOptions): Promise<KvCommitResult>;

    /**
     * Delivers messages of the queue to a handler, each at least once. Handlers run concurrently. Resolves once the database
     * is closed; handlers that are still running may finish their messages.
     */
    // deno-lint-ignore no-explicit-any
    listenQueue(handler: (value: any) => Promise<void> | void): Promise<void>;

    /** Creates an operation that is committed as a whole or not at all. */
    atomic(): AtomicOperation;

    /** Returns a stream of the entries of up to ten keys: their present state first, then their state after each change. */
    watch<T extends readonly unknown[]>(
      keys: readonly [...{ [K in keyof T]: KvKey }],
      options?: {
        /** Whether to emit an item for every notification, even if no versionstamp has changed. */
        raw?: boolean;
      },
    ): ReadableStream<{ [K in keyof T]: KvEntryMaybe<T[K]> }>;

    /** Returns a symbol that, as the last part of a key to set, is replaced by the versionstamp of the commit. */
    commitVersionstamp(): symbol;

    /** Closes the database. Writes that have not been awaited are still committed. */
    close(): void;

    [Symbol.dispose](): void;
  }

  /** Checks, mutations and messages, committed as a whole or not at all. */
  export class AtomicOperation {
    private constructor();
    check(...checks: AtomicCheck[]): this;
    mutate(...mutations: KvMutation[]): this;
    /** Adds n to the KvU64 of a key, modulo 2^64, or stores n if the key has no value. */
    sum(key: KvKey, n: bigint): this;
    /** Stores the minimum of n and the KvU64 of a key. */
    min(key: KvKey, n: bigint): this;
    /** Stores the maximum of n and the KvU64 of a key. */
    max(key: KvKey, n: bigint): this;
    set(key: KvKey, value: unknown, options?: KvSetOptions): this;
    delete(key: KvKey): this;
    enqueue(value: unknown, options?: KvEnqueueOptions): this;
    /** Commits the operation. If any part of it is invalid, rejects and writes nothing. */
    commit(): Promise<KvCommitResult | KvCommitError>;
  }

  /** A 64-bit unsigned integer: the only kind of value that sum, min and max accept. */
  export class KvU64 {
    constructor(value: bigint);
    readonly value: bigint;
  }

  /** The entries of a listing. */
  export class KvListIterator<T> implements AsyncIterableIterator<KvListEntry<T>> {
    private constructor();
    /** The cursor that continues after the last entry, or an empty string once there are no more. */
    get cursor(): string;
    next(): Promise<IteratorResult<KvListEntry<T>, undefined>>;
    [Symbol.asyncIterator](): AsyncIterableIterator<KvListEntry<T>>;
  }
}
