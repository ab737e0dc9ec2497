//! Tests that try to make a database lose data or violate a guarantee. Each module is one of them. The test suite runs short forms,
//! and `cargo xtask torture` long ones, whose results are in `docs/results`.

pub mod backup;
pub mod claims;
pub mod clock;
pub mod close;
mod companion;
pub mod compare;
pub mod crash;
pub mod disk;
#[cfg(unix)]
pub mod failover;
pub mod faults;
pub mod fuzz;
pub mod lanes;
pub mod ledger;
pub mod linear;
pub mod model;
pub mod paths;
pub mod power;
pub mod processes;
mod runtime;
pub mod scripts;
pub mod serve;
pub mod service;
pub mod soak;
mod support;

pub use runtime::Under;
pub use support::{Outcome, Programs, TIMEOUT, failed};
pub(crate) use support::{scratch, script};
