//! The extensions of the runtime. Shared with the build script, which makes the snapshot of them: both must name the
//! same ones in the same order.

use deno_core::Extension;

deno_core::extension!(
    openkv_runtime,
    deps = [deno_webidl, deno_web, deno_crypto, deno_os, openkv],
    esm_entry_point = "ext:openkv_runtime/main.ts",
    esm = [dir "../js/runtime", "deno_ns.ts", "errors.ts", "global_scope.ts", "main.ts"],
    docs = "The global scope and the Deno namespace."
);

/// The extensions, to be initialized later.
pub(crate) fn extensions() -> Vec<Extension> {
    vec![
        deno_webidl::deno_webidl::lazy_init(),
        deno_web::deno_web::lazy_init(),
        deno_crypto::deno_crypto::lazy_init(),
        deno_os::deno_os::lazy_init(),
        openkv_ext::openkv::lazy_init(),
        openkv_runtime::lazy_init(),
    ]
}
