//! The options of a process that `node:child_process` or `node:cluster` has forked.

use deno_node::ChildPipeFd;
use deno_node::ops::ipc::ChildIpcSerialization;
use deno_os::ProcessEnvGuard;
use serde::Serialize;

/// The variables that pass the IPC channel to a forked process.
const CHANNEL: &str = "NODE_CHANNEL_FD";
const CHANNEL_SERIALIZATION: &str = "NODE_CHANNEL_SERIALIZATION_MODE";

/// The options of a process forked by `node:child_process` or `node:cluster`.
pub(crate) struct Fork {
    /// The IPC channel to the parent process.
    pub channel: ChildPipeFd,
    /// The options of a cluster worker.
    pub cluster: Cluster,
}

/// The options of a cluster worker.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Cluster {
    /// The worker's id, or `None` if the process is not a cluster worker.
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    /// The scheduling policy of the cluster.
    #[serde(skip_serializing_if = "Option::is_none")]
    policy: Option<String>,
}

/// Reads the options of a forked process, and removes the variables of the channel, so that child processes do not inherit them.
/// Returns `None` if the process was not forked, or if the variables are invalid.
pub(crate) fn take_fork() -> Option<Fork> {
    let environment = ProcessEnvGuard::lock();
    let variable = |name: &str| environment.var(name).ok();
    let [descriptor, serialization] = [CHANNEL, CHANNEL_SERIALIZATION].map(|name| {
        let value = variable(name);
        environment.remove_var(name);
        value
    });
    let serialization = serialization.map_or(Ok(ChildIpcSerialization::Json), |name| name.parse());
    Some(Fork {
        channel: ChildPipeFd(descriptor?.parse().ok()?, serialization.ok()?),
        cluster: Cluster { id: variable("NODE_UNIQUE_ID"), policy: variable("NODE_CLUSTER_SCHED_POLICY") },
    })
}
