// Gives scripts the API, on the `Deno` that deno_core has made. A host that makes a `Deno` of its own puts there what it
// takes from `mod.ts`.

import { primordials } from "ext:core/mod.js";
import { errors } from "ext:openkv/errors.ts";
import { AtomicOperation, Kv, KvListIterator, KvU64, openKv } from "ext:openkv/mod.ts";

const { ObjectAssign } = primordials;

// deno-lint-ignore no-explicit-any
const Deno = (globalThis as any).Deno;
ObjectAssign(Deno, { AtomicOperation, Kv, KvListIterator, KvU64, openKv });
Deno.errors ??= errors;
