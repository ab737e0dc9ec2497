// The parts of deno_core that these modules use.

/** A script or module of one of Deno's extensions, which have no declarations. */
// deno-lint-ignore no-explicit-any
type Untyped = any;

/** A property descriptor. A `__proto__` of null keeps out properties that scripts add to `Object.prototype`. */
type Descriptor = PropertyDescriptor & { __proto__?: null };

/** The functions of deno_core for extensions. */
export const core: {
  readonly BadResource: ErrorConstructor;
  readonly Interrupted: ErrorConstructor;
  readonly NotCapable: ErrorConstructor;
  /** The symbol of the method that serializes a host object. */
  readonly hostObjectBrand: symbol;
  readonly build: {
    readonly arch: string;
    readonly os: string;
    standalone: boolean;
  };
  /** The ops of deno_web. Undefined in a host without it, which must be checked before they are called. */
  readonly ops: {
    op_blob_create_part(bytes: Uint8Array): string;
    op_blob_read_part(uuid: string): Promise<Uint8Array>;
    op_blob_remove_part(uuid: string): void;
    /** A class of deno_crypto. */
    readonly SubtleCrypto: { prototype: { importKey(...args: unknown[]): unknown } };
  };

  close(rid: number): void;
  createLazyLoader(specifier: string): () => Untyped;
  /** Returns the position of the innermost call in user code. */
  currentUserCallSite(): { fileName: string; lineNumber: number; columnNumber: number };
  decode(bytes: Uint8Array): string;
  defineGlobalProperties(target: object, properties: Record<PropertyKey, unknown>): void;
  destructureError(error: unknown): object;
  getCloneableDeserializers(): Record<string, (serialized: unknown) => object>;
  /** Returns the state of a promise, as a number, and its result or rejection reason. */
  getPromiseDetails<T>(promise: Promise<T>): [state: number, result: T];
  isNativeError(value: unknown): boolean;
  isTerminal(rid: number): boolean;
  loadExtScript(specifier: string): Untyped;
  print(text: string, toStderr: boolean): void;
  propGetterOnly(get: () => unknown): PropertyDescriptor;
  propNonEnumerable(value: unknown): PropertyDescriptor;
  propNonEnumerableLazyLoaded<M>(get: (module: M) => unknown, load: () => M): PropertyDescriptor;
  propReadOnly(value: unknown): PropertyDescriptor;
  propWritable(value: unknown): PropertyDescriptor;
  propWritableLazyLoaded<M>(get: (module: M) => unknown, load: () => M): PropertyDescriptor;
  refOpPromise(promise: Promise<unknown>): void;
  registerErrorBuilder(name: string, build: (message: string) => unknown): void;
  registerErrorClass(name: string, constructor: ErrorConstructor): void;
  setBuildInfo(target: string): void;
  setHandledPromiseRejectionHandler(handler: (promise: Promise<unknown>, reason: unknown) => void): void;
  setReportExceptionCallback(report: (error: unknown) => void): void;
  /** The handler returns whether a script has handled the rejection. */
  setUnhandledPromiseRejectionHandler(handler: (promise: Promise<unknown>, reason: unknown) => boolean): void;
  setWasmStreamingCallback(callback: (source: unknown, rid: number) => void): void;
  tryClose(rid: number): void;
  /** The console of V8, which only debuggers see. */
  readonly v8Console: object;
  /** Makes the methods of a console also call those of another one. */
  wrapConsole(console: Console, other: object): void;
  unrefOpPromise(promise: Promise<unknown>): void;
};

/** Objects that extensions share with each other. */
export const internals: Record<string, unknown>;

/** The built-ins of the language, as they were before any script could change them. */
export const primordials: {
  readonly Error: ErrorConstructor;
  readonly ErrorPrototype: Error;
  readonly Float64Array: Float64ArrayConstructor;
  readonly Number: NumberConstructor;
  readonly Object: ObjectConstructor;
  readonly ObjectPrototype: object;
  readonly Promise: PromiseConstructor;
  readonly Proxy: ProxyConstructor;
  readonly RangeError: RangeErrorConstructor;
  readonly String: StringConstructor;
  readonly Symbol: SymbolConstructor;
  readonly TypeError: TypeErrorConstructor;
  readonly Uint8Array: Uint8ArrayConstructor;
  readonly Uint8ArrayPrototype: Uint8Array & { toHex?(): string; setFromHex?(hex: string): unknown };
  readonly Uint32Array: Uint32ArrayConstructor;

  /** Iterates an array with the original array iterator. */
  readonly SafeArrayIterator: new <T>(array: readonly T[]) => IterableIterator<T>;
  readonly SafeMap: MapConstructor;
  readonly SafeRegExp: RegExpConstructor;

  readonly SymbolAsyncIterator: typeof Symbol.asyncIterator;
  readonly SymbolDispose: typeof Symbol.dispose;
  readonly SymbolFor: typeof Symbol.for;
  readonly SymbolIterator: typeof Symbol.iterator;
  readonly SymbolToStringTag: typeof Symbol.toStringTag;

  ArrayIsArray(value: unknown): value is unknown[];
  ArrayPrototypeConcat<T>(array: readonly T[], ...items: (T | readonly T[])[]): T[];
  ArrayPrototypeFilter<T>(array: readonly T[], matches: (value: T, index: number) => boolean): T[];
  ArrayPrototypeForEach<T>(array: readonly T[], visit: (value: T, index: number) => void): void;
  ArrayPrototypeIncludes<T>(array: readonly T[], value: T): boolean;
  ArrayPrototypeJoin(array: readonly unknown[], separator: string): string;
  ArrayPrototypeMap<T, U>(array: readonly T[], map: (value: T, index: number) => U): U[];
  ArrayPrototypePush<T>(array: T[], ...values: T[]): number;
  ArrayPrototypeShift<T>(array: T[]): T | undefined;
  ArrayPrototypeSlice<T>(array: readonly T[], start?: number, end?: number): T[];
  ArrayPrototypeSome<T>(array: readonly T[], matches: (value: T, index: number) => boolean): boolean;
  ArrayPrototypeUnshift<T>(array: T[], ...values: T[]): number;
  BigIntPrototypeToString(value: bigint): string;
  FunctionPrototypeBind<T>(bound: T, receiver: unknown): T;
  FunctionPrototypeCall<T>(call: (...args: never[]) => T, receiver: unknown, ...args: unknown[]): T;
  JSONStringify(value: unknown): string | undefined;
  MapPrototypeGet<K, V>(map: Map<K, V>, key: K): V | undefined;
  MapPrototypeSet<K, V>(map: Map<K, V>, key: K, value: V): Map<K, V>;
  MathTrunc(value: number): number;
  NumberIsInteger(value: unknown): value is number;
  NumberIsNaN(value: unknown): boolean;
  ObjectAssign<T, U>(target: T, source: U): T & U;
  ObjectAssign<T, U, V>(target: T, source: U, other: V): T & U & V;
  ObjectCreate<T extends object>(prototype: T, properties?: Record<PropertyKey, Descriptor>): T;
  ObjectDefineProperties<T>(object: T, properties: Record<PropertyKey, Descriptor>): T;
  ObjectDefineProperty<T>(object: T, key: PropertyKey, descriptor: Descriptor): T;
  ObjectEntries<T>(object: Record<string, T>): [string, T][];
  ObjectFreeze<T>(object: T): Readonly<T>;
  ObjectFromEntries<T>(entries: readonly (readonly [PropertyKey, T])[]): Record<string, T>;
  ObjectGetPrototypeOf(object: object): object | null;
  ObjectHasOwn(object: object, key: PropertyKey): boolean;
  ObjectKeys(object: object): string[];
  ObjectPrototypeIsPrototypeOf<T extends object>(prototype: T, value: unknown): value is T;
  ObjectSetPrototypeOf<T>(object: T, prototype: object | null): T;
  PromisePrototypeThen<T, U, E>(
    promise: Promise<T>,
    fulfilled: ((value: T) => U) | undefined,
    rejected?: (reason: unknown) => E,
  ): Promise<U | E>;
  PromiseReject(reason: unknown): Promise<never>;
  PromiseResolve<T>(value: T): Promise<T>;
  PromiseResolve(): Promise<void>;
  ReflectDefineProperty(object: object, key: PropertyKey, descriptor: Descriptor): boolean;
  ReflectDeleteProperty(object: object, key: PropertyKey): boolean;
  ReflectGet(object: object, key: PropertyKey, receiver: unknown): unknown;
  ReflectHas(object: object, key: PropertyKey): boolean;
  StringPrototypeEndsWith(text: string, end: string): boolean;
  StringPrototypeReplace(text: string, pattern: string | RegExp, replacement: string | ((...match: never[]) => string)): string;
  StringPrototypeSlice(text: string, start: number, end?: number): string;
  StringPrototypeSplit(text: string, separator: string): string[];
  StringPrototypeStartsWith(text: string, start: string): boolean;
  TypedArrayPrototypeGetLength(array: Uint8Array): number;
  TypedArrayPrototypeSet(target: Uint8Array, source: Uint8Array, offset: number): void;
  uncurryThis<T, A extends unknown[], R>(method: (this: T, ...args: A) => R): (receiver: T, ...args: A) => R;
};

declare global {
  /** The functions that the binary calls: see `runtime/main.ts` and `runtime/repl.ts`. Removed before scripts run. */
  var bootstrap: unknown;
  /** Left there by deno_core. Removed before scripts run. */
  var __bootstrap: unknown;
}
