import { core } from "ext:core/mod.js";
import * as ops from "ext:core/ops";
import { KvU64, openKv } from "ext:openkv/mod.ts";

const own = Object.entries(ops).filter(([name]) => name.startsWith("op_openkv_"));
globalThis.host = { KvU64, openKv, ops: { ...Object.fromEntries(own), brand: core.hostObjectBrand } };
