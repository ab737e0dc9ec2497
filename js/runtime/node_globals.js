// Imported by `node:console` of deno_node. See node.ts.
export { globalScope as windowOrWorkerGlobalScope } from "ext:openkv_runtime/global_scope.ts";
