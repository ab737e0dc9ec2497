//! Fuzzing: functions that take any bytes, and panic if a guarantee is violated. The targets of `fuzz/` run them with cargo-fuzz, and
//! `torture fuzz` and the tests with the inputs in `fuzz/seeds` and mutations of these.

mod cursor;
mod deno;
mod key;
mod run;
mod script;
mod seeds;
mod stored;

pub use cursor::cursor;
pub use deno::deno;
pub use key::key;
pub use run::{Args, Target, run};
pub use script::{PRELUDE, script};
pub use seeds::{mutated, seeds};
pub use stored::{directory, stored};
