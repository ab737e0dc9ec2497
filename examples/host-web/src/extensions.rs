//! The extensions of the snapshot and the host, which must be the same, in the same order.

use deno_core::Extension;
use deno_web::{BlobStore, InMemoryBroadcastChannel};
use openkv_ext::Options;

deno_core::extension!(
    host_web,
    deps = [deno_webidl, deno_web, openkv],
    esm_entry_point = "ext:host_web/global.js",
    esm = [dir "js", "global.js"],
    docs = "The global scope."
);

pub fn extensions(kv: Options) -> Vec<Extension> {
    vec![
        deno_webidl::deno_webidl::init(),
        deno_web::deno_web::init(BlobStore::default_arc(), None, false, InMemoryBroadcastChannel::default()),
        openkv_ext::init(kv),
        host_web::init(),
    ]
}
