import { core } from "ext:core/mod.js";
import { op_openkv_set_classes } from "ext:core/ops";
import { deserializers, toEncodable } from "ext:openkv/blob.ts";
import { KvU64 } from "ext:openkv/u64.ts";

let registered = false;

/** Registers the classes of values with the ops. Not when this module is loaded: a snapshot would not keep them. */
export function registerClasses(): void {
  if (registered) return;
  op_openkv_set_classes(KvU64, core.hostObjectBrand, toEncodable, deserializers());
  registered = true;
}
