//! The extensions of the runtime. Shared with the build script, which creates the snapshot: both must have the same extensions
//! in the same order. The modules of `openkv_runtime` are in the snapshot only, added by the build script.

pub(crate) mod env;
mod fs_watch;
mod http;
pub(crate) mod interrupt;
pub(crate) mod node;
mod permissions;
pub(crate) mod storage;
pub(crate) mod terminal;
pub(crate) mod testing;
pub(crate) mod worker;

use deno_core::{Extension, op2};

deno_core::extension!(
    openkv_runtime,
    deps = [
        deno_webidl,
        deno_web,
        deno_fetch,
        deno_websocket,
        deno_crypto,
        deno_cron,
        deno_net,
        deno_http,
        deno_io,
        deno_fs,
        deno_os,
        deno_process,
        deno_node,
        openkv_node,
        openkv
    ],
    ops = [
        fs_watch::op_openkv_fs_watch_next,
        fs_watch::op_openkv_fs_watch_open,
        // Named by deno_http, which calls it.
        http::op_http_start,
        op_openkv_parent_process,
        permissions::op_openkv_permission,
        storage::op_openkv_storage_get,
        storage::op_openkv_storage_keys,
        storage::op_openkv_storage_remove,
        storage::op_openkv_storage_set,
        terminal::op_openkv_console_size,
        // Called by deno_io and deno_fs under this name.
        terminal::op_set_raw,
        testing::op_openkv_test_event,
        testing::op_openkv_test_permissions,
    ],
    esm_entry_point = "ext:openkv_runtime/main.ts",
    options = { proxies: env::Proxies, storages: storage::Storages },
    state = |state, options| {
        state.put(options.proxies);
        state.put(options.storages);
    },
    docs = "The global scope and the Deno namespace."
);

/// Returns the extensions, for lazy initialization.
pub(crate) fn extensions() -> Vec<Extension> {
    vec![
        deno_telemetry::deno_telemetry::lazy_init(),
        deno_webidl::deno_webidl::lazy_init(),
        deno_web::deno_web::lazy_init(),
        deno_fetch::deno_fetch::lazy_init(),
        deno_websocket::deno_websocket::lazy_init(),
        deno_crypto::deno_crypto::lazy_init(),
        deno_cron::deno_cron::lazy_init(),
        deno_net::deno_net::lazy_init(),
        deno_tls::deno_tls::lazy_init(),
        deno_http::deno_http::lazy_init(),
        deno_io::deno_io::lazy_init(),
        deno_fs::deno_fs::lazy_init(),
        env::replace_ops_of_os(deno_os::deno_os::lazy_init()),
        deno_process::deno_process::lazy_init(),
        deno_node_crypto::deno_node_crypto::lazy_init(),
        env::replace_ops_of_node(node::modules()),
        node::openkv_node::lazy_init(),
        openkv_ext::openkv::lazy_init(),
        worker::openkv_worker::lazy_init(),
        openkv_runtime::lazy_init(),
    ]
}

/// Returns `Deno.ppid`. Not cached, as a process may outlive its parent.
#[cfg(unix)]
#[op2(fast)]
fn op_openkv_parent_process() -> u32 {
    std::os::unix::process::parent_id()
}

/// Returns 0 for `Deno.ppid`, as it is not available on this system.
#[cfg(not(unix))]
#[op2(fast)]
fn op_openkv_parent_process() -> u32 {
    0
}
