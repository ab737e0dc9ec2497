import { op_kv_open } from "ext:core/ops";
import { registerClasses } from "ext:openkv/classes.ts";
import { registerErrors } from "ext:openkv/errors.ts";
import { Kv, token } from "ext:openkv/kv.ts";

/** Opens a database: the one of the script, in a file, or, as ":memory:", in memory. */
export async function openKv(path?: string): Promise<Kv> {
  registerErrors();
  registerClasses();
  return new Kv(await op_kv_open(path), token);
}
