import { core } from "ext:core/mod.js";
import { op_kv_open, op_kv_set_classes } from "ext:core/ops";
import { registerErrors } from "ext:openkv/errors.ts";
import { Kv, token } from "ext:openkv/kv.ts";
import { KvU64 } from "ext:openkv/u64.ts";

/** Opens a database: the one of the script, in a file, or, as ":memory:", in memory. */
export async function openKv(path?: string): Promise<Kv> {
  registerErrors();
  op_kv_set_classes(KvU64, core.hostObjectBrand, core.getCloneableDeserializers());
  return new Kv(await op_kv_open(path), token);
}
