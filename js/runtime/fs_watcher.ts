import { core, primordials } from "ext:core/mod.js";
import { op_openkv_fs_watch_next, op_openkv_fs_watch_open } from "ext:core/ops";

const { ArrayIsArray, ArrayPrototypeMap, SymbolAsyncIterator, SymbolDispose } = primordials;
const { pathFromURL } = core.loadExtScript("ext:deno_web/00_infra.js");

export interface Change {
  kind: string;
  paths: string[];
  flag?: string;
}

/** `Deno.FsWatcher`, the async iterator of changes that `Deno.watchFs` returns. */
class FsWatcher {
  #rid: number;
  #next: Promise<Change | null> | undefined;
  #closed = false;
  #referenced = true;

  constructor(paths: string[], recursive: boolean, ignored: string[]) {
    this.#rid = op_openkv_fs_watch_open(recursive, ignored, paths);
  }

  /** Makes waiting for a change keep the process alive. */
  ref() {
    this.#referenced = true;
    if (this.#next) core.refOpPromise(this.#next);
  }

  unref() {
    this.#referenced = false;
    if (this.#next) core.unrefOpPromise(this.#next);
  }

  async next(): Promise<IteratorResult<Change, undefined>> {
    if (this.#closed) return { value: undefined, done: true };
    const next: Promise<Change | null> = op_openkv_fs_watch_next(this.#rid);
    this.#next = next;
    if (!this.#referenced) core.unrefOpPromise(next);
    const value = await next;
    if (value === null) return { value: undefined, done: true };
    return { value: value.flag ? value : { kind: value.kind, paths: value.paths }, done: false };
  }

  return(value?: undefined) {
    this.close();
    return primordials.PromiseResolve({ value, done: true });
  }

  close() {
    if (this.#closed) return;
    this.#closed = true;
    core.close(this.#rid);
  }

  [SymbolAsyncIterator]() {
    return this;
  }

  [SymbolDispose]() {
    this.close();
  }
}

interface Options {
  recursive?: boolean;
  ignore?: string | string[];
}

export function watchFs(paths: string | string[], options: Options = { __proto__: null } as object) {
  const { recursive = true, ignore } = options;
  return new FsWatcher(list(paths), recursive, ignore === undefined ? [] : list(ignore));
}

/** Converts one or more paths to strings, as Deno does. */
function list(paths: string | string[]): string[] {
  return ArrayPrototypeMap(ArrayIsArray(paths) ? paths : [paths], (path: string) => `${pathFromURL(path)}`);
}
