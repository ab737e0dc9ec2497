//! Tests the client against scripted servers. Time is paused: it advances when all tasks are idle.
#![cfg(feature = "client")]

mod batches;
mod calls;
mod hostile;
mod open;
mod order;
mod queue;
mod refresh;
mod support;
mod watches;
mod writes;
