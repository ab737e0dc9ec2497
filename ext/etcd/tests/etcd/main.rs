//! Tests the backend on a throw-away cluster of three nodes. Without `etcd`, they are skipped.

mod compactions;
mod faults;
mod hostile;
mod losses;
mod operation;
mod partitions;
mod pauses;
mod queue;
mod quota;
mod reads;
mod relay;
mod support;
mod tls;
mod transfer;
mod watches;
mod wire;
mod writes;
