//! The client, against servers that a script plays. Time is paused: it goes on as soon as nobody has anything else to do.
#![cfg(feature = "client")]

mod batches;
mod calls;
mod open;
mod order;
mod queue;
mod refresh;
mod support;
mod watches;
mod writes;
