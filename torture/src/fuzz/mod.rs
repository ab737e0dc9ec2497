//! Input that no one means well with: functions that take any bytes and panic where a promise does not hold. They are run by the
//! targets of `fuzz/`, for as long as one likes, and by the tests, on the inputs that are kept in `fuzz/seeds` and on some
//! thousands that are made of these.

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
