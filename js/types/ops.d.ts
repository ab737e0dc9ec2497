// The ops that these modules call: those of ext/kv/src and runtime/src/extensions, and some of Deno's extensions.

import type { ListOptions } from "ext:openkv/list.ts";
import type { Mutations } from "ext:openkv/mutation.ts";
import type { Found } from "ext:openkv/read.ts";
import type { Selector } from "ext:openkv/selector.ts";
import type { KvU64 } from "ext:openkv/u64.ts";
import type { Check, Enqueue, Key } from "ext:openkv/write.ts";
import type { Location, Outcome } from "ext:openkv_runtime/testing/context.ts";
import type { Change } from "ext:openkv_runtime/fs_watcher.ts";
import type { Action, State } from "ext:openkv_runtime/permissions.ts";
import type { WorkerEnd, WorkerPermissions } from "ext:openkv_runtime/worker.ts";
import type { Message } from "ext:openkv_runtime/worker_messages.ts";
import type { TestPermissions } from "ext:openkv_runtime/testing/permissions.ts";

/** The result of a read on another thread, for `op_openkv_found`. */
export type FoundLater = { readonly found: unique symbol };

/** The part of a selector that a batch of a listing reads. */
export interface Batch extends Pick<Required<ListOptions>, "limit" | "reverse" | "values"> {
  eventual: boolean;
  cursor: string | undefined;
}

// ext/kv
export function op_openkv_add_mutations(mutations: Mutations, added: Mutations): void;
export function op_openkv_close(rid: number): void;
export function op_openkv_count(rid: number, selector: Selector): Promise<number>;
export function op_openkv_delete_range(rid: number, selector: Selector): Promise<number>;
/** Returns messages, each with the number that finishes it; the message of a transient error; or null once closed. */
export function op_openkv_dequeue(rid: number): Promise<[Uint8Array, number][] | string | null>;
export function op_openkv_encode_cursor(selector: Selector, key: Key): string;
/** Returns the versionstamp of each entry, and when it expires, in a flat array. */
export function op_openkv_expiries(rid: number, keys: Key[]): Promise<(string | number | null)[]>;
export function op_openkv_finish(number: number, success: boolean): Promise<void>;
export function op_openkv_found(found: FoundLater): unknown;
export function op_openkv_get(rid: number, key: Key, eventual: boolean): Found | undefined;
export function op_openkv_get_many(rid: number, keys: Key[], eventual: boolean): Found[] | undefined;
export function op_openkv_list(rid: number, selector: Selector, batch: Batch): unknown[] | undefined;
export function op_openkv_list_mutations(mutations: Mutations): unknown[];
export function op_openkv_message(bytes: Uint8Array): unknown;
export function op_openkv_mutate(
  mutations: Mutations,
  kind: number,
  key: Key,
  value: unknown,
  isU64: boolean,
  expireIn: number,
): void;
export function op_openkv_mutations(isSingle: boolean): Mutations;
export function op_openkv_open(path: string | undefined): Promise<number>;
export function op_openkv_reject_consistency(consistency: unknown): void;
export function op_openkv_reject_watch(): never;
export function op_openkv_serialize(message: unknown): Uint8Array;
export function op_openkv_set_classes(
  u64: typeof KvU64,
  brand: symbol,
  toEncodable: (serialized: unknown) => unknown,
  deserializers: Record<string, (stored: never) => object>,
): void;
export function op_openkv_start(number: number): boolean;
export function op_openkv_yield(): Promise<void>;
export function op_openkv_yield_is_due(): boolean;
export function op_openkv_wait(): Promise<FoundLater>;
export function op_openkv_watch(rid: number, keys: Key[]): number;
export function op_openkv_watch_next(watch: number): Promise<number>;
export function op_openkv_watched(watch: number): Found[];
/** Returns the versionstamp of the commit, or the indices of the checks that failed. */
export function op_openkv_write(
  rid: number,
  mutations: Mutations | undefined,
  checks: Check[],
  enqueues: Enqueue[],
): Promise<string | number[]>;

// runtime
export function op_openkv_console_size(size: Uint32Array): void;
export function op_openkv_fs_watch_next(rid: number): Promise<Change | null>;
export function op_openkv_fs_watch_open(recursive: boolean, ignored: string[], paths: string[]): number;
export function op_openkv_parent_process(): number;
export function op_openkv_permission(action: Action, name: string, target: string | undefined): State;
export function op_openkv_storage_get(persistent: boolean, key: string): string | null;
export function op_openkv_storage_keys(persistent: boolean): string[];
export function op_openkv_storage_remove(persistent: boolean, key: string | null): void;
export function op_openkv_storage_set(persistent: boolean, key: string, value: string): void;
export function op_openkv_test_event(
  event:
    | { kind: "exited"; code: number }
    | { kind: "stepStarted"; id: number; name: string; path: string[]; location: Location }
    | { kind: "stepEnded"; id: number; outcome: Outcome },
): void;
export function op_openkv_test_permissions(permissions: TestPermissions): void;

// runtime: workers, for their parents
export function op_create_worker(
  options: { name: string | undefined; permissions: WorkerPermissions; specifier: string; workerType: string },
): number;
export function op_host_post_message(id: number, message: Message): void;
export function op_host_post_message_raw(id: number, message: Uint8Array): void;
export function op_host_recv_ctrl(id: number): Promise<WorkerEnd>;
export function op_host_recv_message(id: number): Promise<Message | Uint8Array | null>;
export function op_host_recv_message_sync(id: number): Message | null;
export function op_host_terminate_worker(id: number): void;

// runtime: workers, for themselves
export function op_openkv_worker_close(): void;
export function op_openkv_worker_post(message: Message): void;
export function op_openkv_worker_post_raw(message: Uint8Array): void;
export function op_openkv_worker_receive(): Promise<Message | Uint8Array | null>;
export function op_openkv_worker_stay(): Promise<never>;
export function op_openkv_worker_try_receive(): Message | null;

// deno_core and deno_os
export function op_runtime_cpu_usage(usage: Float64Array): void;
export function op_runtime_memory_usage(usage: Float64Array): void;
export function op_set_format_exception_callback(format: (error: unknown) => string | null): void;

// deno_net
export function op_net_listen_udp(...args: unknown[]): unknown;
export function op_net_listen_unixpacket(...args: unknown[]): unknown;
