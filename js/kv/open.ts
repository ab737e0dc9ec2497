import { primordials } from "ext:core/mod.js";
import { op_openkv_open } from "ext:core/ops";
import { registerClasses } from "ext:openkv/classes.ts";
import { registerErrors } from "ext:openkv/errors.ts";
import { Kv, token } from "ext:openkv/kv.ts";

const { TypeError } = primordials;

/** Opens a database: the default one of the script, a file, or, with ":memory:", one in memory. */
export async function openKv(path?: string): Promise<Kv> {
  if (path !== undefined && path !== null && typeof path !== "string") {
    throw new TypeError(`The path of a database must be a string: received ${typeof path}`);
  }
  registerErrors();
  registerClasses();
  return new Kv(await op_openkv_open(path), token);
}
