//! Web workers: the ops of `Worker`, and those of the global scope of a worker. The runtime starts the threads.

mod end;
mod host;
mod link;
mod scope;

pub(crate) use end::End;
pub(crate) use host::{NewWorker, Spawner, Workers};
pub(crate) use link::Link;
pub(crate) use scope::WorkerScope;

deno_core::extension!(
    openkv_worker,
    deps = [deno_web],
    ops = [
        host::op_create_worker,
        host::op_host_terminate_worker,
        host::op_host_post_message,
        host::op_host_post_message_raw,
        host::op_host_recv_ctrl,
        host::op_host_recv_message,
        host::op_host_recv_message_sync,
        scope::op_openkv_worker_close,
        scope::op_openkv_worker_post,
        scope::op_openkv_worker_post_raw,
        scope::op_openkv_worker_receive,
        scope::op_openkv_worker_stay,
        scope::op_openkv_worker_try_receive,
    ],
    state = |state| state.put(Workers::default()),
    docs = "Web workers."
);
