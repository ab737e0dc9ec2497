import { core } from "ext:core/mod.js";
import { op_openkv_set_classes } from "ext:core/ops";
import { deserializers, toStored } from "ext:openkv/blob.ts";
import { KvU64 } from "ext:openkv/u64.ts";

let registered = false;

/** Makes known to the ops what a value may be. Not when this module is loaded: that may be for a snapshot, which keeps none of it. */
export function registerClasses(): void {
  if (registered) return;
  op_openkv_set_classes(KvU64, core.hostObjectBrand, toStored, deserializers());
  registered = true;
}
