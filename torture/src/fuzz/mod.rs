//! Fuzzing: functions that take any bytes, and panic if a guarantee is violated. The targets of `fuzz/` run them, and the tests run
//! them with the inputs in `fuzz/seeds` and several thousand mutations of these.

mod cursor;
mod deno;
mod key;
mod script;
mod seeds;
mod stored;

pub use cursor::cursor;
pub use deno::deno;
pub use key::key;
pub use script::{PRELUDE, script};
pub use seeds::{mutated, seeds};
pub use stored::{directory, stored};
