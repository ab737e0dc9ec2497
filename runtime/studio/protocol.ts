// The messages between the page of `openkv studio` and its server.

/**
 * A value or a part of a key as JSON, in the format of `@deno/kv-utils`. In addition, the type "opaque" stands for a value that
 * has no such form, with the text that describes it: it can be shown, but not stored.
 */
export interface Encoded {
  type: string;
  value?: unknown;
  /** The size of binary data. */
  byteLength?: number;
}

export type EncodedKey = Encoded[];

/** A range of entries: those with a prefix, from a start (inclusive) to an end (exclusive). */
export interface EncodedSelector {
  prefix: EncodedKey;
  start?: EncodedKey;
  end?: EncodedKey;
}

/** A database, with the URL of the script or configuration file that it belongs to, if it is known. */
export interface Database {
  path: string;
  script: string | null;
  /** The size of its file in bytes, if it has one. */
  size: number | null;
}

export interface Session {
  databases: Database[];
  readOnly: boolean;
}

/** An entry as the list shows it. */
export interface Row {
  key: EncodedKey;
  type: string;
  /** The beginning of a description of the value, in one line. */
  preview: string;
  /** The size of the value in bytes. */
  size: number;
  versionstamp: string;
  /** When the entry expires, in milliseconds since the Unix epoch: null if it does not, absent if the database cannot tell. */
  expiresAt?: number | null;
}

export interface Page {
  rows: Row[];
  /** Whether there may be more entries in the direction of the list. */
  more: boolean;
}

/** An entry with its value, or the absence of one. */
export interface Entry {
  key: EncodedKey;
  /** Null if there is no such entry. */
  row: Row | null;
  value: Encoded | null;
}

/** The entries whose keys have the same part after a prefix. */
export interface Child {
  part: Encoded;
  /** Whether the prefix and the part are the key of an entry. */
  isEntry: boolean;
  hasChildren: boolean;
}

export interface Children {
  children: Child[];
  more: boolean;
}

/**
 * A change of an entry whose version is the one that the page has shown: null if there was no entry. A value without a time does
 * not expire.
 */
export type Write =
  & { key: EncodedKey; versionstamp: string | null }
  & (
    | { type: "set"; value: Encoded; expiresAt?: number }
    | { type: "delete" }
    | { type: "sum"; value: string }
  );

/** The result of a commit, or the entries of which another version is stored. */
export type Result = { ok: true; versionstamp: string } | { ok: false; stored: Entry[] };

/** The change of a watched entry. */
export interface Change {
  key: EncodedKey;
  row: Row | null;
}

/** Some exported entries. */
export interface Exported {
  lines: string[];
  /** The number of entries that have no form in the format. */
  skipped: number;
  /** The key after which there may be more entries. */
  after: EncodedKey | null;
}

export interface Imported {
  written: number;
  /** The number of entries whose keys existed. */
  skipped: number;
}

/** The numbers and sizes of some entries. */
export interface Statistics {
  /** By the first part of keys. */
  groups: { part: Encoded; entries: number; bytes: number }[];
  /** The numbers of values by size: those of size 0, of size 1, of sizes 2 and 3, and so on in powers of two. */
  sizes: number[];
  /** The key after which there may be more entries. */
  after: EncodedKey | null;
}

/** The state of the file of a database, as `openkv db info --json` prints it. */
export interface FileInfo {
  fileBytes: number;
  walBytes: number;
  freeBytes: number;
  expiredEntries: number;
  /** When the next entry expires, in milliseconds since the Unix epoch. */
  nextExpiry: number | null;
  messagesWaiting: number;
  /** The number of waiting messages that are due. */
  messagesReady: number;
  messagesInFlight: number;
  lastVersionstamp: string;
}

/** The first messages of the queue. */
export interface Queue {
  inFlight: Message[];
  waiting: Message[];
  /** The versionstamp of the last commit. */
  lastVersionstamp: string;
}

export interface Message {
  /** When it is due or, in flight, until when it counts as being handled, in milliseconds since the Unix epoch. */
  time: number;
  value: Encoded;
  /** The delays before further attempts, in milliseconds. */
  backoffSchedule: number[];
  /** The keys to store it under if its last delivery fails, as expressions. */
  keysIfUndelivered: string[];
}
