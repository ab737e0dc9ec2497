//! Workers: the ops of `Worker`, of the global scope of a worker, and of `node:worker_threads`. The runtime starts the threads.

mod end;
mod host;
mod link;
mod scope;
mod thread;
mod threads;

pub(crate) use end::End;
pub(crate) use host::{NewWorker, NodeOptions, ResourceLimits, Spawner, Workers};
pub(crate) use link::Link;
pub(crate) use scope::WorkerScope;
pub(crate) use threads::{Message, Threads, attach};

deno_core::extension!(
    openkv_worker,
    deps = [deno_web],
    ops = [
        host::op_create_worker,
        host::op_host_get_worker_cpu_usage,
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
        threads::op_node_worker_thread_post_message,
        threads::op_node_worker_thread_recv_message,
        threads::op_node_worker_thread_register,
        threads::op_node_worker_thread_set_listener_count,
    ],
    state = |state| state.put(Workers::default()),
    docs = "Workers."
);
