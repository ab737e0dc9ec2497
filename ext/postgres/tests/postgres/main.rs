//! Tests with servers. They are skipped if PostgreSQL is not installed.
#![cfg(unix)]

mod connections;
mod failover;
mod privileges;
mod queue;
mod reads;
mod support;
mod transfer;
mod versions;
mod watches;
mod writes;
