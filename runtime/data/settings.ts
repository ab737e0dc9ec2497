// What `openkv db` passes to the program that reads and writes entries.

/** Texts of keys, values and ranges are JavaScript expressions. */
export interface Settings {
  command: "delete" | "export" | "get" | "import" | "list" | "set" | "watch";
  /** The path or URL of the database. */
  database: string;
  keys: string[];
  value: string;
  /** When the entry that is set expires, in milliseconds from now. */
  expireIn: number | null;
  range: { prefix: string | null; start: string | null; end: string | null };
  limit: number | null;
  reverse: boolean;
  /** Whether to list the keys alone. */
  keysOnly: boolean;
  /** Whether to print entries as lines of JSON. */
  json: boolean;
  /** The file to export to or to import from: null for the standard streams. */
  file: string | null;
  /** Whether to overwrite the file. */
  force: boolean;
  onConflict: "fail" | "keep" | "replace";
}

/** A failure that the user can cause: its message is printed without a stack. */
export class Failure extends Error {}
