// `node:console` takes the console from here. See node.ts.
export { globalScope as windowOrWorkerGlobalScope } from "ext:openkv_runtime/global_scope.ts";
