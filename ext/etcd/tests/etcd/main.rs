//! Tests the backend on a throw-away cluster of three nodes. Without `etcd`, they are skipped.

mod faults;
mod hostile;
mod losses;
mod operation;
mod queue;
mod reads;
mod relay;
mod support;
mod watches;
mod wire;
mod writes;
