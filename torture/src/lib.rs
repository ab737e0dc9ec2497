//! Tries to make a database lose data, or promise what it does not keep. Each module is one way to try, at any length: a short
//! form is part of the tests, and `cargo xtask torture` runs the long ones, whose figures are in `docs/results`.

pub mod backup;
pub mod claims;
pub mod clock;
pub mod close;
pub mod compare;
pub mod crash;
pub mod disk;
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
pub mod soak;
mod support;

pub use runtime::Under;
pub use support::{Outcome, Programs, TIMEOUT, failed};
pub(crate) use support::{scratch, script};
