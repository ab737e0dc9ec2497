// Adds the API to the `Deno` object that deno_core creates. A host with a `Deno` object of its own imports `mod.ts` instead.

import { primordials } from "ext:core/mod.js";
import { errors } from "ext:openkv/errors.ts";
import { AtomicOperation, Kv, KvListIterator, KvU64, openKv } from "ext:openkv/mod.ts";

const { ObjectAssign } = primordials;

// deno-lint-ignore no-explicit-any
const Deno = (globalThis as any).Deno;
ObjectAssign(Deno, { AtomicOperation, Kv, KvListIterator, KvU64, openKv });
Deno.errors ??= errors;
