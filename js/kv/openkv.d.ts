// The types of Deno KV as OpenKV has it. What Deno lacks is marked with @addition.

declare namespace Deno {
  /**
   * Opens a database.
   *
   * @param path A file, which is created where there is none and needs permission to be read and written; ":memory:" for
   * a private database in memory; nothing for the database of the script. A file can also be given by a URI, as
   * "file:///dir/kv.db". "file::memory:?cache=shared" and "file:NAME?mode=memory&cache=shared" are databases in memory that
   * all who open them by this name in the process share.
   */
  export function openKv(path?: string): Promise<Kv>;

  /** A key: a sequence of parts. */
  export type KvKey = readonly KvKeyPart[];

  /** A part of a key. Parts of different types are ordered as they stand here, with false below true. */
  export type KvKeyPart = Uint8Array | string | bigint | number | boolean | symbol;

  /** How recent a read must be. Databases in files are always strongly consistent. */
  export type KvConsistencyLevel = "strong" | "eventual";

  /** An entry. */
  export interface KvEntry<T> {
    key: KvKey;
    value: T;
    /** The version of the commit that stored the value: 20 hexadecimal digits, greater with every commit. */
    versionstamp: string;
  }

  /** An entry, or the absence of one. */
  export type KvEntryMaybe<T> = KvEntry<T> | { key: KvKey; value: null; versionstamp: null };

  /** An entry of a listing. */
  export interface KvListEntry<T> extends KvEntry<T> {
    /**
     * The cursor that continues the listing after this entry. Not enumerable.
     * @addition
     */
    readonly cursor: string;
  }

  /** Which entries: those below a prefix, those from a start up to an end that is not included, or both. */
  export type KvListSelector =
    | { prefix: KvKey }
    | { prefix: KvKey; start: KvKey }
    | { prefix: KvKey; end: KvKey }
    | { start: KvKey; end: KvKey }
    /** @addition */
    | { prefix: KvKey; start: KvKey; end: KvKey };

  export interface KvListOptions {
    /** How many entries to list at most. */
    limit?: number;
    /** The cursor to continue after. */
    cursor?: string;
    /** Whether to list from the end. */
    reverse?: boolean;
    consistency?: KvConsistencyLevel;
    /** How many entries to read at once: by default the limit, up to 500, or 100. */
    batchSize?: number;
    /**
     * Whether to read values. Without, `value` is undefined.
     * @addition
     */
    values?: boolean;
  }

  export interface KvSetOptions {
    /** After how many milliseconds the value ceases to exist. */
    expireIn?: number;
  }

  export interface KvEnqueueOptions {
    /** How many milliseconds to hold the message back: up to 30 days. */
    delay?: number;
    /** The keys that are given the message when its last delivery failed. */
    keysIfUndelivered?: KvKey[];
    /**
     * The waits before further deliveries of a message whose handler failed: up to five, each up to an hour, in
     * milliseconds. By default 100, 1000, 5000, 30000 and 60000.
     */
    backoffSchedule?: number[];
  }

  export interface KvCommitResult {
    ok: true;
    /** The version of everything that the commit wrote. */
    versionstamp: string;
  }

  /** A commit that wrote nothing, because a check did not hold. */
  export interface KvCommitError {
    ok: false;
    /**
     * The keys whose check did not hold. Not enumerable.
     * @addition
     */
    readonly failedChecks: KvKey[];
  }

  /** A condition of a commit: that a key still has this version, or, with null, no value. */
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

    /** Stores a value. */
    set(key: KvKey, value: unknown, options?: KvSetOptions): Promise<KvCommitResult>;

    /** Removes a value, if there is one. */
    delete(key: KvKey): Promise<void>;

    /** Lists entries in the order of their keys. Options may stand in the selector too; those beside it win. */
    list<T = unknown>(selector: KvListSelector & KvListOptions, options?: KvListOptions): KvListIterator<T>;

    /**
     * Counts entries.
     * @addition
     */
    count(selector: KvListSelector): Promise<number>;

    /**
     * Deletes the first entries of a selector, up to 10,000, in one commit. Returns how many: to delete all, call it until
     * it answers 0.
     * @addition
     */
    deleteRange(selector: KvListSelector): Promise<number>;

    /** Puts a message into the queue. */
    enqueue(value: unknown, options?: KvEnqueueOptions): Promise<KvCommitResult>;

    /**
     * Hands messages from the queue to a handler, each at least once, without waiting for the handlers of others. Resolves once the
     * database is closed. Handlers that run then may still finish their messages.
     */
    // deno-lint-ignore no-explicit-any
    listenQueue(handler: (value: any) => Promise<void> | void): Promise<void>;

    /** Begins an operation that is committed as a whole or not at all. */
    atomic(): AtomicOperation;

    /** A stream of the entries of up to ten keys: as they are, and then again whenever one of them changes. */
    watch<T extends readonly unknown[]>(
      keys: readonly [...{ [K in keyof T]: KvKey }],
      options?: {
        /** Whether to give an item for every change, even where nothing is new since the last one. */
        raw?: boolean;
      },
    ): ReadableStream<{ [K in keyof T]: KvEntryMaybe<T[K]> }>;

    /** As the last part of a key to set: the versionstamp of the commit. */
    commitVersionstamp(): symbol;

    /** Closes the database. Writes that were not awaited are still committed. */
    close(): void;

    [Symbol.dispose](): void;
  }

  /** Checks, mutations and messages, committed as a whole or not at all. */
  export class AtomicOperation {
    private constructor();
    check(...checks: AtomicCheck[]): this;
    mutate(...mutations: KvMutation[]): this;
    /** Adds to the KvU64 of a key, modulo 2^64, or stores n where there is none. */
    sum(key: KvKey, n: bigint): this;
    /** Stores the lesser of n and the KvU64 of a key. */
    min(key: KvKey, n: bigint): this;
    /** Stores the greater of n and the KvU64 of a key. */
    max(key: KvKey, n: bigint): this;
    set(key: KvKey, value: unknown, options?: KvSetOptions): this;
    delete(key: KvKey): this;
    enqueue(value: unknown, options?: KvEnqueueOptions): this;
    /** Commits. Rejects, and writes nothing, where a part of the operation is refused. */
    commit(): Promise<KvCommitResult | KvCommitError>;
  }

  /** A 64-bit unsigned integer, the one kind of value that sum, min and max work on. */
  export class KvU64 {
    constructor(value: bigint);
    readonly value: bigint;
  }

  /** The entries of a listing. */
  export class KvListIterator<T> implements AsyncIterableIterator<KvListEntry<T>> {
    private constructor();
    /** The cursor that continues after the last entry; empty once there are no more. */
    get cursor(): string;
    next(): Promise<IteratorResult<KvListEntry<T>, undefined>>;
    [Symbol.asyncIterator](): AsyncIterableIterator<KvListEntry<T>>;
  }
}
