//! The process that started this one by `fork` of `node:child_process`.

use deno_node::ChildPipeFd;
use deno_node::ops::ipc::ChildIpcSerialization;
use deno_os::ProcessEnvGuard;
use serde::Serialize;

/// The variables that name the channel between a process and one that `fork` of `node:child_process` starts.
const CHANNEL: &str = "NODE_CHANNEL_FD";
const CHANNEL_SERIALIZATION: &str = "NODE_CHANNEL_SERIALIZATION_MODE";

/// What a process is told that `fork` of `node:child_process` has started, or that of `node:cluster`.
pub(crate) struct Fork {
    /// The channel to the process that started this one.
    pub channel: ChildPipeFd,
    /// What a worker of a cluster is told.
    pub cluster: Cluster,
}

/// What a worker of a cluster is told.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Cluster {
    /// Its number. Without one, the process is no worker.
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    /// How connections are distributed.
    #[serde(skip_serializing_if = "Option::is_none")]
    policy: Option<String>,
}

/// Takes what the process is told by the one that has started it, so that no process that this one starts finds the channel.
/// Returns nothing where it was started otherwise, or where the variables name no channel.
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
