//! Tests the backend on a throw-away cluster of three nodes. Without `etcd`, they are skipped.

mod faults;
mod operation;
mod queue;
mod reads;
mod support;
mod transfer;
mod watches;
mod writes;
