import { core, primordials } from "ext:core/mod.js";
import {
  op_openkv_storage_get,
  op_openkv_storage_keys,
  op_openkv_storage_remove,
  op_openkv_storage_set,
} from "ext:core/ops";

const {
  FunctionPrototypeBind,
  ObjectDefineProperty,
  ObjectEntries,
  ObjectFromEntries,
  Proxy,
  ReflectDefineProperty,
  ReflectDeleteProperty,
  ReflectGet,
  ReflectHas,
  Symbol,
  SymbolFor,
} = primordials;
const webidl = core.loadExtScript("ext:deno_webidl/00_webidl.js");

const text = (value: unknown, method: string, position: number): string =>
  webidl.converters.DOMString(value, `Failed to execute '${method}' on 'Storage'`, `Argument ${position}`);

/** The first argument of the constructor, which scripts cannot obtain. */
const constructing = Symbol("constructing");
const persistent = Symbol("persistent");

/** The entries of an origin, or of this run for `sessionStorage`. */
export class Storage {
  [persistent]: boolean;
  [brand: symbol]: unknown;

  constructor(key: symbol, isPersistent: boolean) {
    if (key !== constructing) webidl.illegalConstructor();
    this[webidl.brand] = webidl.brand;
    this[persistent] = isPersistent;
  }

  get length(): number {
    webidl.assertBranded(this, StoragePrototype);
    return op_openkv_storage_keys(this[persistent] as boolean).length;
  }

  key(index: number): string | null {
    webidl.assertBranded(this, StoragePrototype);
    webidl.requiredArguments(arguments.length, 1, "Failed to execute 'key' on 'Storage'");
    const at = webidl.converters["unsigned long"](index, "Failed to execute 'key' on 'Storage'", "Argument 1");
    return op_openkv_storage_keys(this[persistent] as boolean)[at] ?? null;
  }

  getItem(key: string): string | null {
    webidl.assertBranded(this, StoragePrototype);
    webidl.requiredArguments(arguments.length, 1, "Failed to execute 'getItem' on 'Storage'");
    return op_openkv_storage_get(this[persistent] as boolean, text(key, "getItem", 1)) ?? null;
  }

  setItem(key: string, value: string) {
    webidl.assertBranded(this, StoragePrototype);
    webidl.requiredArguments(arguments.length, 2, "Failed to execute 'setItem' on 'Storage'");
    op_openkv_storage_set(this[persistent] as boolean, text(key, "setItem", 1), text(value, "setItem", 2));
  }

  removeItem(key: string) {
    webidl.assertBranded(this, StoragePrototype);
    webidl.requiredArguments(arguments.length, 1, "Failed to execute 'removeItem' on 'Storage'");
    op_openkv_storage_remove(this[persistent] as boolean, text(key, "removeItem", 1));
  }

  clear() {
    webidl.assertBranded(this, StoragePrototype);
    op_openkv_storage_remove(this[persistent] as boolean, null);
  }
}

const StoragePrototype = Storage.prototype;
webidl.configureInterface(Storage);

/** Exposes the entries of a storage as properties, except those with the name of a method. */
const handler: ProxyHandler<Storage> = {
  get(storage, key) {
    if (typeof key === "string" && !ReflectHas(storage, key)) return storage.getItem(key) ?? undefined;
    const value = ReflectGet(storage, key, storage);
    return typeof value === "function" && key !== "constructor" ? FunctionPrototypeBind(value, storage) : value;
  },
  set(storage, key, value) {
    if (typeof key === "symbol") {
      return ReflectDefineProperty(storage, key, { __proto__: null, value, configurable: true, writable: true });
    }
    storage.setItem(key, value);
    return true;
  },
  defineProperty(storage, key, descriptor) {
    if (typeof key === "symbol") return ReflectDefineProperty(storage, key, { __proto__: null, ...descriptor });
    storage.setItem(key, descriptor.value);
    return true;
  },
  deleteProperty(storage, key) {
    if (typeof key === "symbol") return ReflectDeleteProperty(storage, key);
    storage.removeItem(key);
    return true;
  },
  has(storage, key) {
    return ReflectHas(storage, key) || (typeof key === "string" && storage.getItem(key) !== null);
  },
  ownKeys(storage) {
    return op_openkv_storage_keys(storage[persistent] as boolean);
  },
  getOwnPropertyDescriptor(storage, key) {
    if (typeof key === "symbol" || ReflectHas(storage, key)) return undefined;
    const value = storage.getItem(key);
    return value === null ? undefined : { value, enumerable: true, configurable: true, writable: true };
  },
};

function create(isPersistent: boolean): Storage {
  const storage = new Storage(constructing, isPersistent);
  const proxy = new Proxy(storage, handler);
  ObjectDefineProperty(storage, SymbolFor("Deno.privateCustomInspect"), {
    __proto__: null,
    // Must be configurable: a proxy cannot hide a property that is not.
    configurable: true,
    value: (inspect: (value: unknown, options: unknown) => string, options: unknown) => {
      const entries = ObjectFromEntries(ObjectEntries(proxy as unknown as Record<string, string>));
      return `Storage ${inspect({ ...entries, length: storage.length }, options)}`;
    },
  });
  return proxy;
}

let local: Storage;
let session: Storage;

/** Returns `localStorage`. */
export const localStorage = () => local ??= create(true);
/** Returns `sessionStorage`. */
export const sessionStorage = () => session ??= create(false);
