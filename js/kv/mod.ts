export { AtomicOperation } from "ext:openkv/atomic.ts";
export { Kv } from "ext:openkv/kv.ts";
export { KvListIterator } from "ext:openkv/list.ts";
export { openKv } from "ext:openkv/open.ts";
export { KvU64 } from "ext:openkv/u64.ts";
